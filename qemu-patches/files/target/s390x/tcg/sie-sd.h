/*
 * s390x SIE: layout of the state description
 *
 * The operand of START INTERPRETIVE EXECUTION is a 512-byte block that holds
 * what the guest sees (PSW, control registers, timers), how it may be
 * interpreted (the control fields) and why it was left (the interception
 * fields).  The names are those of struct kvm_s390_sie_block in Linux,
 * arch/s390/include/asm/kvm_host_types.h, which is the reference for the
 * layout.  All fields are big endian.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_S390X_TCG_SIE_SD_H
#define TARGET_S390X_TCG_SIE_SD_H

typedef struct S390SIEDescr {
    uint8_t  cpuflags[4];       /* 0x000: requests from and modes of the host */
    uint32_t prefix;            /* 0x004: guest prefix; low bits: IBC */
    uint8_t  sw08[0x28 - 0x08]; /* 0x008: for the host's own use */
    uint64_t cputm;             /* 0x028: guest CPU timer */
    uint64_t ckc;               /* 0x030: guest clock comparator */
    uint64_t epoch;             /* 0x038: guest TOD - host TOD */
    uint32_t svcc;              /* 0x040: SUPERVISOR CALL interception */
    uint16_t lctl;              /* 0x044: LOAD CONTROL interception, by CR */
    uint16_t icpua;             /* 0x046: guest CPU address */
    uint32_t ictl;              /* 0x048: interception controls */
    uint32_t eca;               /* 0x04c: execution controls A */
    uint8_t  icptcode;          /* 0x050: why the guest was left */
    uint8_t  icptstatus;        /* 0x051: more about an intercepted insn */
    uint16_t ihcpu;             /* 0x052: CPU that last ran this guest */
    uint8_t  reserved54[2];
    uint16_t ipa;               /* 0x056: intercepted insn, first halfword */
    uint32_t ipb;               /* 0x058: intercepted insn, the rest */
    uint32_t scaoh;             /* 0x05c: system control area, high part */
    uint8_t  fpf;
    uint8_t  ecb;               /* 0x061: execution controls B */
    uint8_t  ecb2;              /* 0x062 */
    uint8_t  ecb3;              /* 0x063 */
    uint32_t scaol;             /* 0x064: system control area, low part */
    uint8_t  reserved68[4];
    uint32_t todpr;             /* 0x06c: guest TOD programmable register */
    uint32_t gd;                /* 0x070: GISA designation */
    uint8_t  reserved74[12];
    uint64_t mso;               /* 0x080: guest storage origin */
    uint64_t msl;               /* 0x088: guest storage limit */
    uint64_t gpsw_mask;         /* 0x090: guest PSW */
    uint64_t gpsw_addr;         /* 0x098 */
    uint64_t gg14;              /* 0x0a0: guest general registers 14, 15 */
    uint64_t gg15;              /* 0x0a8 */
    uint8_t  reservedb0[16];
    /* the same order as lowcore 0x80 to 0xaf, see s390_lowcore_store() */
    uint32_t eiparams;          /* 0x0c0 */
    uint16_t extcpuaddr;        /* 0x0c4 */
    uint16_t eic;               /* 0x0c6: external interruption code */
    uint32_t reservedc8;
    uint16_t pgmilc;            /* 0x0cc: program interruption: length */
    uint16_t iprcc;             /* 0x0ce: code */
    uint32_t dxc;               /* 0x0d0: data exception code */
    uint16_t mcn;               /* 0x0d4: monitor class */
    uint16_t perc;              /* 0x0d6: PER code and ATMID */
    uint64_t peraddr;           /* 0x0d8: PER address */
    uint8_t  eai;               /* 0x0e0: exception access id */
    uint8_t  peraid;
    uint8_t  oai;               /* 0x0e2: operand access id */
    uint8_t  armid;
    uint8_t  reservede4[4];
    uint64_t tecmc;             /* 0x0e8: TEID or monitor code */
    uint8_t  reservedf0[12];
    uint32_t crycbd;            /* 0x0fc: crypto control block */
    uint64_t gcr[16];           /* 0x100: guest control registers */
    uint64_t gbea;              /* 0x180: guest breaking-event address */
    uint8_t  reserved188[0x1a0 - 0x188];
    uint32_t fac;               /* 0x1a0: facility list */
    uint8_t  reserved1a4[0x1c8 - 0x1a4];
    uint32_t ecd;               /* 0x1c8: execution controls D */
    uint8_t  reserved1cc[0x1de - 0x1cc];
    uint64_t pp;                /* 0x1de: guest program parameter */
    uint8_t  reserved1e6[0x200 - 0x1e6];
} QEMU_PACKED S390SIEDescr;

#define SIE_SD_CHECK(field, offset) \
    QEMU_BUILD_BUG_ON(offsetof(S390SIEDescr, field) != (offset))

SIE_SD_CHECK(cpuflags, 0x000);
SIE_SD_CHECK(prefix, 0x004);
SIE_SD_CHECK(cputm, 0x028);
SIE_SD_CHECK(ckc, 0x030);
SIE_SD_CHECK(epoch, 0x038);
SIE_SD_CHECK(svcc, 0x040);
SIE_SD_CHECK(lctl, 0x044);
SIE_SD_CHECK(icpua, 0x046);
SIE_SD_CHECK(ictl, 0x048);
SIE_SD_CHECK(eca, 0x04c);
SIE_SD_CHECK(icptcode, 0x050);
SIE_SD_CHECK(icptstatus, 0x051);
SIE_SD_CHECK(ihcpu, 0x052);
SIE_SD_CHECK(ipa, 0x056);
SIE_SD_CHECK(ipb, 0x058);
SIE_SD_CHECK(scaoh, 0x05c);
SIE_SD_CHECK(fpf, 0x060);
SIE_SD_CHECK(ecb, 0x061);
SIE_SD_CHECK(ecb2, 0x062);
SIE_SD_CHECK(ecb3, 0x063);
SIE_SD_CHECK(scaol, 0x064);
SIE_SD_CHECK(todpr, 0x06c);
SIE_SD_CHECK(gd, 0x070);
SIE_SD_CHECK(mso, 0x080);
SIE_SD_CHECK(msl, 0x088);
SIE_SD_CHECK(gpsw_mask, 0x090);
SIE_SD_CHECK(gpsw_addr, 0x098);
SIE_SD_CHECK(gg14, 0x0a0);
SIE_SD_CHECK(gg15, 0x0a8);
SIE_SD_CHECK(eiparams, 0x0c0);
SIE_SD_CHECK(extcpuaddr, 0x0c4);
SIE_SD_CHECK(eic, 0x0c6);
SIE_SD_CHECK(pgmilc, 0x0cc);
SIE_SD_CHECK(iprcc, 0x0ce);
SIE_SD_CHECK(dxc, 0x0d0);
SIE_SD_CHECK(mcn, 0x0d4);
SIE_SD_CHECK(perc, 0x0d6);
SIE_SD_CHECK(peraddr, 0x0d8);
SIE_SD_CHECK(eai, 0x0e0);
SIE_SD_CHECK(peraid, 0x0e1);
SIE_SD_CHECK(oai, 0x0e2);
SIE_SD_CHECK(armid, 0x0e3);
SIE_SD_CHECK(tecmc, 0x0e8);
SIE_SD_CHECK(crycbd, 0x0fc);
SIE_SD_CHECK(gcr, 0x100);
SIE_SD_CHECK(gbea, 0x180);
SIE_SD_CHECK(fac, 0x1a0);
SIE_SD_CHECK(ecd, 0x1c8);
SIE_SD_CHECK(pp, 0x1de);
QEMU_BUILD_BUG_ON(sizeof(S390SIEDescr) != 512);

/* cpuflags[0]: interception requests; I/O and external match PSW byte 0 */
#define SIE_CPUF0_STOP_INT      0x04
#define SIE_CPUF0_IO_INT        0x02
#define SIE_CPUF0_EXT_INT       0x01
#define SIE_CPUF0_REQUESTS \
    (SIE_CPUF0_STOP_INT | SIE_CPUF0_IO_INT | SIE_CPUF0_EXT_INT)
/* cpuflags[2] */
#define SIE_CPUF2_ZARCH         0x08
/* cpuflags[3]: no guest storage origin and limit; enforced PER */
#define SIE_CPUF3_SM            0x80
#define SIE_CPUF3_P             0x01

/* prefix */
#define SIE_PREFIX_MASK         0x7fffe000u

/* svcc: one bit per condition, three immediate bytes to compare with */
#define SIE_SVCC_ALL            0x80000000u
#define SIE_SVCC_BYTE1          0x40000000u
#define SIE_SVCC_BYTE2          0x20000000u
#define SIE_SVCC_BYTE3          0x10000000u

/* ictl */
#define SIE_ICTL_OPEREXC        0x80000000u
#define SIE_ICTL_PRIVOP         0x40000000u
#define SIE_ICTL_PINT           0x20000000u
#define SIE_ICTL_STFLE          0x10000000u
#define SIE_ICTL_TLBI           0x01000000u
#define SIE_ICTL_LPSW           0x00400000u
#define SIE_ICTL_PTLB           0x00200000u
#define SIE_ICTL_SSM            0x00100000u
#define SIE_ICTL_STCTL          0x00040000u
#define SIE_ICTL_STNSM          0x00020000u
#define SIE_ICTL_STOSM          0x00010000u
#define SIE_ICTL_STCK           0x00008000u
#define SIE_ICTL_SPT            0x00000040u
#define SIE_ICTL_SCKC           0x00000020u

/* eca */
#define SIE_ECA_CEI             0x80000000u
#define SIE_ECA_MVPGI           0x01000000u
#define SIE_ECA_PROTEXCI        0x00002000u
#define SIE_ECA_APIE            0x00000008u

/* ecb */
#define SIE_ECB_SPECI           0x08
#define SIE_ECB_HOSTPROTINT     0x02
/* ecb3 */
#define SIE_ECB3_DEA            0x08
#define SIE_ECB3_AES            0x04

/* icptcode */
#define SIE_ICPT_NONE           0x00
#define SIE_ICPT_INST           0x04
#define SIE_ICPT_PROGI          0x08
#define SIE_ICPT_EXTREQ         0x10
#define SIE_ICPT_EXTINT         0x14
#define SIE_ICPT_IOREQ          0x18
#define SIE_ICPT_WAIT           0x1c
#define SIE_ICPT_VALIDITY       0x20
#define SIE_ICPT_STOP           0x28
#define SIE_ICPT_OPEREXC        0x2c
#define SIE_ICPT_PARTEXEC       0x38
#define SIE_ICPT_MAX            0x7f

/* icptstatus */
#define SIE_ICPTST_EXECUTE      0x01
#define SIE_ICPTST_PER_IFETCH   0x02
#define SIE_ICPTST_ILEN_SHIFT   4

/* Where partial execution of MVPG puts the host's page-table entry addresses */
#define SIE_SD_MVPG_DST         0x0c0
#define SIE_SD_MVPG_SRC         0x0c8

/* Reasons for a validity interception */
#define SIE_VALIDITY_NOT_ZARCH      0x0001
#define SIE_VALIDITY_PREFIX_LIMIT   0x0010
#define SIE_VALIDITY_SCA_IN_PREFIX  0x0011
#define SIE_VALIDITY_SCA_UNMAPPED   0x0034
#define SIE_VALIDITY_CRYCB_UNMAPPED 0x0035
#define SIE_VALIDITY_PREFIX_HOST    0x0037
#define SIE_VALIDITY_SCA_LOW        0x0038
#define SIE_VALIDITY_CRYCB_ZERO     0x0039
#define SIE_VALIDITY_SCA_CROSSES    0x003b
#define SIE_VALIDITY_CRYCB_CROSSES  0x003c
#define SIE_VALIDITY_ORIGIN_LIMIT   0x0041
#define SIE_VALIDITY_FACLIST        0x1090

/* fac: facility list, below 2 GiB and aligned */
#define SIE_FAC_ORIGIN          0x7ffffff8u

/* System control area: only the IPTE interlock is used */
#define SIE_SCAOL_ESCA_MASK     (~0x3fu)
#define SIE_SCAOL_BSCA_MASK     (~0x0fu)
#define SIE_ECB2_ESCA           0x04
#define SIE_SCA_K               0x80

#endif /* TARGET_S390X_TCG_SIE_SD_H */
