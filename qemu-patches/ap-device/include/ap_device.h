/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Adjunct processors (AP): the device model's C interface
 *
 * The model is a Rust library without QEMU types. It knows adapters, domains,
 * queues, messages, faults and the audit log; it knows no guest storage, no
 * clock, no threads. This side of the interface has those:
 *
 *   guest -> helper: operation, privileged, odd-register checks
 *         -> ap_device_pqap/nqap/dqap(): everything else about the
 *            instruction, as register values to set
 *         -> drain effects: ap_device_next_effect()
 *         -> rearm the timer: ap_device_next_deadline()
 *
 * Rules for the caller
 *
 * - Hold the big lock around every call on one ApModel. No call blocks, keeps
 *   a pointer, or calls back.
 * - Time is nanoseconds of QEMU_CLOCK_VIRTUAL, passed in with each call that
 *   needs it. Time going backwards is taken as standing still.
 * - After any call that takes a non-const ApModel *, call
 *   ap_device_next_effect() until it returns false, then
 *   ap_device_next_deadline() and set or cancel the (one) timer. When the
 *   timer fires: ap_device_poll(), then the same.
 * - All structures are flat, naturally aligned and in host byte order; masks
 *   and the QCI block are byte arrays as in guest storage. Reserved members
 *   are zero in both directions.
 * - Functions that can be refused return 0 or -1. On -1 nothing has changed,
 *   and @err, if not NULL, holds a NUL-terminated line of text for the user,
 *   cut off to @err_len bytes. 256 bytes suffice for every message.
 * - Text passed in is UTF-8 with a length; it need not be NUL-terminated
 *   unless the parameter is a lone const char *.
 * - A panic inside is a bug and aborts the process; nothing unwinds through
 *   here. No guest input is allowed to cause one.
 *
 * Stability: within one AP_DEVICE_ABI, structures and the meaning of functions
 * do not change; functions, effect kinds, options and flag bits are added.
 * Compare AP_DEVICE_ABI with ap_device_abi() once at startup.
 *
 * Exception order of an instruction (who checks):
 *   operation   no AP facility                                    C
 *   privileged  problem state                                     C
 *   specification  odd R1 or R2 of NQAP, DQAP                     C
 *   specification  everything else (function code, reserved bits,
 *               facilities, IDs, alignment, length)               model
 *   access      storing the QCI block, fetching or storing a
 *               message                                           C
 *
 * The three instructions:
 *
 *   PQAP  ap_device_pqap(); if res.writes has AP_WRITES_STORE (QCI), store
 *         res.length bytes of @block at logical address GR2. QCI has no side
 *         effect, so an access exception then is harmless.
 *
 *   NQAP  n = ap_device_nqap_want(length in R2+1); fetch n bytes at logical
 *         address R2 (n = 0: fetch nothing; an access exception leaves
 *         nothing changed); ap_device_nqap() with them. Add res.length to R2,
 *         subtract it from R2+1.
 *
 *   DQAP  n = ap_device_dqap_peek(length in R2+1, buffer): copies the next n
 *         bytes of the reply out without dequeuing. Store them at logical
 *         address R2 (an access exception leaves nothing changed).
 *         ap_device_dqap() then dequeues. Add res.length to R2, subtract it
 *         from R2+1.
 *         Call both with the same context and registers, the lock held in
 *         between.
 *
 * Addresses are truncated, and 24/31-bit register rules applied, by C: pass
 * R2+1 as the addressing mode makes it (32 bits outside 64-bit mode).
 */
#ifndef AP_DEVICE_H
#define AP_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AP_DEVICE_ABI 2

/* One AP complex. Opaque. */
typedef struct ApModel ApModel;

/*
 * Longest message in either direction; a buffer of this size holds any n that
 * ap_device_nqap_want() or ap_device_dqap_peek() can return.
 */
#define AP_MAX_MESSAGE 65536

#define AP_QCI_LEN 128

/* ------------------------------------------------------------------ */
/* Who executes an instruction, and what it may reach                  */

enum {
    AP_ISSUER_HOST = 0, /* this CPU is not in SIE */
    AP_ISSUER_SIE = 1,  /* interpreted for a SIE guest */
};

/* ApContext.flags */
enum {
    AP_CTX_NESTED = 1 << 0, /* the state description belongs to a guest's guest */
};

/*
 * ApContext.facilities: those that the program sees. For a guest that is its
 * own facility list, not the host's.
 */
enum {
    AP_FAC_QCI = 1 << 0,  /* STFLE 12: PQAP(QCI) */
    AP_FAC_APFT = 1 << 1, /* STFLE 15: PQAP(TAPQ) with T */
    AP_FAC_AQIC = 1 << 2, /* STFLE 65: PQAP(AQIC) */
};

typedef struct ApContext {
    uint64_t now;         /* ns */
    uint64_t sd;          /* SIE: absolute address of the state description */
    uint64_t storage_end; /* first absolute address behind installed storage;
                             an AQIC indicator at or above is refused */
    uint32_t crycbd;      /* SIE: CRYCB designation: origin and format. Format
                             0 and 1 mean no APXA for this guest */
    uint32_t facilities;  /* AP_FAC_* */
    uint16_t cpu;         /* CPU address, for the audit log */
    uint8_t issuer;       /* AP_ISSUER_* */
    uint8_t flags;        /* AP_CTX_* */
    uint32_t reserved;
    /*
     * SIE: the masks of the APCB, widened to 256 bits, bit 0 leftmost (for
     * nested SIE those of both APCBs, ANDed). The model ANDs them with the
     * machine's configuration. Ignored for AP_ISSUER_HOST. Read them per
     * instruction: they change while the guest runs.
     */
    uint8_t apm[32];
    uint8_t aqm[32];
    uint8_t adm[32];
} ApContext;

/* ------------------------------------------------------------------ */
/* What an instruction did                                             */

/* ApResult.writes: which registers get the values in ApResult */
enum {
    AP_WRITES_GR0 = 1 << 0,
    AP_WRITES_GR1 = 1 << 1,
    AP_WRITES_GR2 = 1 << 2,
    AP_WRITES_R1 = 1 << 3,    /* DQAP: the R1 pair gets the PSMID */
    AP_WRITES_STORE = 1 << 4, /* PQAP: store the block at GR2 */
};

typedef struct ApResult {
    uint64_t gr0;
    uint64_t gr1;
    uint64_t gr2;
    uint64_t r1_even;
    uint64_t r1_odd;
    uint32_t length; /* NQAP, DQAP: bytes moved; PQAP: bytes to store */
    uint16_t pgm;    /* program interruption code, 0 if none; if there is one,
                        all else is 0 and nothing has changed */
    uint8_t cc;      /* condition code: 0, 1 or 3 */
    uint8_t writes;  /* AP_WRITES_* */
} ApResult;

/* @block: AP_QCI_LEN bytes, filled if res->writes has AP_WRITES_STORE. */
void ap_device_pqap(ApModel *ap, const ApContext *ctx, uint64_t gr0,
                    uint64_t gr1, uint64_t gr2, uint8_t *block, ApResult *res);

/*
 * How many bytes of the message to fetch before ap_device_nqap(): @length, or
 * 0 if the instruction will end without looking at them.
 */
uint32_t ap_device_nqap_want(ApModel *ap, const ApContext *ctx, uint64_t gr0,
                             uint64_t length);

/*
 * @length: R2+1. @msg, @msg_len: what was fetched (NULL, 0 if nothing was
 * wanted). @r1_even, @r1_odd: the PSMID's register pair.
 */
void ap_device_nqap(ApModel *ap, const ApContext *ctx, uint64_t gr0,
                    uint64_t r1_even, uint64_t r1_odd, uint64_t length,
                    const uint8_t *msg, size_t msg_len, ApResult *res);

/*
 * Copies to @buf the bytes that ap_device_dqap() will move, and returns how
 * many those are; at most @buf_len, which the caller makes AP_MAX_MESSAGE or
 * the smaller of that and @length. Does what is due by ctx->now first, which
 * ap_device_dqap() does not, so that both see the same queue.
 */
uint32_t ap_device_dqap_peek(ApModel *ap, const ApContext *ctx, uint64_t gr0,
                             uint64_t length, uint8_t *buf, size_t buf_len);

void ap_device_dqap(ApModel *ap, const ApContext *ctx, uint64_t gr0,
                    uint64_t length, ApResult *res);

/* ------------------------------------------------------------------ */
/* Time and effects                                                    */

/* Does what is due by @now: replies appear, resets complete. */
void ap_device_poll(ApModel *ap, uint64_t now);

/* False: nothing will happen by itself. */
bool ap_device_next_deadline(const ApModel *ap, uint64_t *when);

enum {
    /*
     * The configuration changed: tell the guest through an AP-configuration-
     * change event (CRW, CHSC SEI nt0 rs 5). Latch it: several in a row are
     * one event.
     */
    AP_EFFECT_CONFIG_CHANGED = 1,
    /*
     * A reply became visible on a queue with interrupts enabled: set the
     * notification indicator byte at absolute @nib, then make an adapter
     * interruption pending on ISC @isc, or alert the GISA at @gisa (if not 0)
     * for guest ISC @gisc.
     */
    AP_EFFECT_INDICATE = 2,
    /*
     * Stop the machine: the auditor saw a violation and was told to stop.
     * @nib is the seq of the offending record, about queue @apqn.
     */
    AP_EFFECT_STOP = 3,
};

typedef struct ApEffect {
    uint64_t nib;
    uint32_t kind; /* AP_EFFECT_* */
    uint32_t gisa;
    uint16_t apqn;
    uint8_t isc;
    uint8_t gisc;
    uint8_t gisa_format;
    uint8_t reserved[3];
} ApEffect;

/* Takes the oldest effect; false if there is none. Ignore unknown kinds. */
bool ap_device_next_effect(ApModel *ap, ApEffect *effect);

/* ------------------------------------------------------------------ */
/* Life cycle                                                          */

/* Static string: crate version and ABI, for a QMP query. */
const char *ap_device_version(void);
uint32_t ap_device_abi(void);

/*
 * No adapters, no domains. @seed makes random contents (serial numbers, random
 * number replies) repeatable.
 */
ApModel *ap_device_new(uint64_t seed);

/* From a topology file's text; NULL if refused, the text names line and key. */
ApModel *ap_device_from_topology(const char *text, size_t text_len,
                                 uint64_t seed, char *err, size_t err_len);

void ap_device_free(ApModel *ap);

enum {
    /*
     * Subsystem reset, any flavour (diagnose 308 included): all queues are
     * flushed and zeroized at once, interrupts are off, indicators forgotten.
     * Adapters, domains, deconfigured and checkstopped states, faults and the
     * audit log stay.
     */
    AP_RESET_SUBSYSTEM = 0,
    /*
     * As at power-on: in addition, configuration and checkstop of every
     * adapter return to what it was added with.
     */
    AP_RESET_POWER_ON = 1,
};

/* Pending effects are dropped. @kind: AP_RESET_*, unknown means the first. */
void ap_device_reset(ApModel *ap, uint64_t now, uint32_t kind);

/*
 * Tunables, by name, so that more can be added:
 *   reset-ns   how long RAPQ and ZAPQ take (default 5000000)
 *   reply-ns   from NQAP to the reply (default 50000)
 *   stop-at-violation
 *              1: a violation ends in AP_EFFECT_STOP (default 0)
 *   mutant     only in builds with the Cargo feature "mutants": 1 no T bit,
 *              2 E always on, 3 ZAPQ keeps a reply, 4 QCI writes GR1; 0 none
 */
int ap_device_set_option(ApModel *ap, const char *name, uint64_t value,
                         char *err, size_t err_len);

/* ------------------------------------------------------------------ */
/* Configuration: what an HMC, an SE or SCLP changes                   */
/* Every change that took place ends in AP_EFFECT_CONFIG_CHANGED.       */

enum {
    AP_MODE_CCA = 0,
    AP_MODE_ACCELERATOR = 1,
    AP_MODE_EP11 = 2,
};

typedef struct ApAdapter {
    uint8_t apid;
    uint8_t mode;       /* AP_MODE_* */
    uint8_t generation; /* 4..8 for CEX4S..CEX8S */
    uint8_t config;     /* 1: configured, 0: deconfigured */
    uint8_t checkstop;  /* 1: checkstopped */
    uint8_t reserved[11];
} ApAdapter;

/* "cca", "accelerator", "ep11" to AP_MODE_*, -1 if neither; and back. */
int ap_device_mode_from_name(const char *name);
const char *ap_device_mode_name(uint8_t mode);

/* Refused: an APID that is taken, an unknown mode or generation. */
int ap_device_add_adapter(ApModel *ap, uint64_t now, const ApAdapter *adapter,
                          char *err, size_t err_len);

/*
 * Takes the adapter away, with all requests and replies in it; instructions
 * for it answer 01 from now on. Refused: no such adapter.
 */
int ap_device_remove_adapter(ApModel *ap, uint64_t now, uint8_t apid,
                             char *err, size_t err_len);

/* False: no such adapter. */
bool ap_device_get_adapter(const ApModel *ap, uint8_t apid, ApAdapter *out);

enum {
    AP_CHANGE_DONE = 0,
    AP_CHANGE_ALREADY = 1,    /* was so; no effect */
    AP_CHANGE_NO_ADAPTER = 2, /* not in the configuration */
};

/*
 * SCLP configure and deconfigure, HMC config on and off: APM keeps the
 * adapter, its queues answer 03 and lose their contents. Returns AP_CHANGE_*,
 * which the SCLP code translates to its response codes.
 */
int ap_device_set_config(ApModel *ap, uint64_t now, uint8_t apid, bool on);

/* The adapter fails or recovers: its queues answer 04. */
int ap_device_set_checkstop(ApModel *ap, uint64_t now, uint8_t apid, bool on);

/*
 * Usage and control domains of the machine, both at once. Queues of usage
 * domains that go away lose their contents. Returns 0, or -1 with a message and
 * no change when a domain is above the machine's highest.
 */
int ap_device_set_domains(ApModel *ap, uint64_t now, const uint8_t aqm[32],
                          const uint8_t adm[32], char *err, size_t err_len);

/* The configuration as QCI shows it to the host. */
void ap_device_get_masks(const ApModel *ap, uint8_t apm[32], uint8_t aqm[32],
                         uint8_t adm[32]);

/*
 * Domain lists of properties: comma-separated, each a decimal or 0x number or
 * a first-last range of them, such as "4,0x47,80-95"; empty for none.
 */
int ap_device_parse_domains(const char *text, uint8_t mask[32], char *err,
                            size_t err_len);

/*
 * The reverse, shortest form, NUL-terminated and cut off to @buf_len. Returns
 * the length of the whole text; 1024 bytes hold any.
 */
size_t ap_device_format_domains(const uint8_t mask[32], char *buf,
                                size_t buf_len);

/* ------------------------------------------------------------------ */
/* Faults                                                              */

/*
 * @text is one or more [[fault]] tables of the topology grammar; all of them
 * are taken, or none. The first gets number *@first_id, the others follow;
 * numbers start at 1 and are not reused.
 */
int ap_device_inject(ApModel *ap, uint64_t now, const char *text,
                     size_t text_len, uint32_t *first_id, char *err,
                     size_t err_len);

/* Clears fault @id, or all if @id is 0. Returns how many there were. */
uint32_t ap_device_clear_faults(ApModel *ap, uint64_t now, uint32_t id);

/* ------------------------------------------------------------------ */
/* Looking in                                                          */

typedef struct ApQueueInfo {
    uint64_t enqueued; /* requests accepted since creation */
    uint64_t dequeued; /* replies taken completely */
    uint64_t nib;      /* notification indicator, 0 if interrupts are off */
    uint32_t status;   /* status word as a TAPQ by the host would show it */
    uint32_t requests; /* waiting or running */
    uint32_t replies;  /* ready */
    uint32_t epoch;    /* completed ZAPQs and subsystem resets */
    uint16_t apqn;
    uint8_t mode;       /* AP_MODE_* */
    uint8_t generation; /* 4..8 */
    uint8_t reserved[4];
} ApQueueInfo;

/*
 * All queues of the machine by APQN: fills at most @max and returns how many
 * there are (call with NULL, 0 to ask).
 */
size_t ap_device_queues(const ApModel *ap, ApQueueInfo *out, size_t max);

/* ApAuditRecord.op: a PQAP function code (0..8), or */
enum {
    AP_OP_UNKNOWN = 0x7f, /* PQAP with a function code above 8 */
    AP_OP_NQAP = 0x80,
    AP_OP_DQAP = 0x81,
    AP_OP_REPLY = 0x90,      /* a reply became visible; for this and for
                                AP_OP_DISCARD crycbd is that of the request's
                                issuer (origin only, 0: the host) and epoch is
                                the one it was enqueued in */
    AP_OP_RESET_DONE = 0x91, /* length: 1 RAPQ, 2 ZAPQ, 3 subsystem reset */
    AP_OP_IRQ = 0x92,        /* an indication was asked for; tag: its address */
    AP_OP_CONFIG = 0x93,     /* configuration changed; apqn: APID in the left
                                byte; tag: 1 added, 2 removed, 3 configured,
                                4 deconfigured, 5 checkstopped, 6 recovered,
                                7 domains changed (no APID) */
    AP_OP_MARK = 0x94,
    AP_OP_DISCARD = 0x95, /* a request or reply was thrown away */
    AP_OP_FAULT = 0xa0,   /* a scripted fault took effect; tag: its number */
    AP_OP_VIOLATION = 0xa1, /* the auditor objects to the record before, which
                               this repeats; tag: AP_INVARIANT_* */
};

/* ApAuditRecord.flags */
enum {
    AP_AUDIT_PARTIAL = 1 << 0,
    AP_AUDIT_SPECIAL = 1 << 1,
    AP_AUDIT_T = 1 << 2,
    AP_AUDIT_F = 1 << 3,
    AP_AUDIT_INJECTED = 1 << 4,  /* a scripted fault decided the outcome */
    AP_AUDIT_VIOLATION = 1 << 5, /* the auditor objects */
};

/* ApAuditRecord.issuer: AP_ISSUER_*, AP_ISSUER_NESTED, or AP_ISSUER_MACHINE */
enum {
    AP_ISSUER_NESTED = 2,
    AP_ISSUER_MACHINE = 0xff, /* an internal event */
};

typedef struct ApAuditRecord {
    uint64_t seq; /* from 0, one per record */
    uint64_t ns;
    uint8_t op;
    uint8_t issuer;
    uint8_t cc; /* 0xff: program interruption */
    uint8_t flags;
    uint16_t apqn;
    uint16_t cpu;
    uint32_t status;
    uint32_t epoch;
    uint64_t sd;
    uint32_t crycbd;
    uint32_t length;
    uint64_t psmid; /* AQIC: GR1 */
    uint64_t tag;   /* keyed digest of the request, repeated on its reply;
                       AQIC: GR2 */
} ApAuditRecord;

#define AP_ANY_QUEUE UINT32_MAX

/*
 * Copies at most @max records with seq >= @since, of queue @apqn or of any,
 * oldest first; returns how many. *@next gets where to go on. *@lost gets how
 * many records since @since had already left the ring (0: none missing).
 * Either pointer may be NULL.
 */
size_t ap_device_audit_read(const ApModel *ap, uint64_t since, uint32_t apqn,
                            ApAuditRecord *out, size_t max, uint64_t *next,
                            uint64_t *lost);

/* Writes a mark, to ask for records since; returns its seq. */
uint64_t ap_device_audit_mark(ApModel *ap, uint64_t now, uint64_t tag);

/* What the auditor, which is always on, holds the log against. */
enum {
    AP_INVARIANT_REPLY_TO_OWNER = 1,
    AP_INVARIANT_ZAPQ_BETWEEN_OWNERS = 2,
    AP_INVARIANT_NOTHING_SURVIVES = 3,
    AP_INVARIANT_INDICATOR_IS_CURRENT = 4,
    AP_INVARIANT_HOST_KEEPS_OFF = 5,
    AP_INVARIANT_MASKS_HOLD = 6,
};

#define AP_INVARIANTS 6

/* How often each was violated since creation, by number - 1. */
void ap_device_violations(const ApModel *ap, uint64_t counts[AP_INVARIANTS]);

/* ------------------------------------------------------------------ */

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(ApContext) == 136, "ApContext");
_Static_assert(sizeof(ApResult) == 48, "ApResult");
_Static_assert(sizeof(ApEffect) == 24, "ApEffect");
_Static_assert(sizeof(ApAdapter) == 16, "ApAdapter");
_Static_assert(sizeof(ApQueueInfo) == 48, "ApQueueInfo");
_Static_assert(sizeof(ApAuditRecord) == 64, "ApAuditRecord");
#endif

#ifdef __cplusplus
}
#endif

#endif /* AP_DEVICE_H */
