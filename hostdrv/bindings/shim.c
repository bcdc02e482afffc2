// SPDX-License-Identifier: GPL-2.0
/*
 * What only C can do: inline functions, macros, and fields of structures that
 * bindgen cannot lay out. Each function is one of these and decides nothing.
 */
#include <linux/kvm_host.h>
#include <linux/vfio.h>
#include <asm/uv.h>
#include <asm/ap.h>
#include <asm/facility.h>
#include "shim.h"

/* AP instructions that may not be there: exception tables */

bool vfio_ap_available(void)
{
	return ap_instructions_available();
}

int vfio_ap_qci(struct ap_config_info *info)
{
	/* facility 12: QCI */
	return test_facility(12) ? ap_qci(info) : -EOPNOTSUPP;
}

/* KVM: fields of struct kvm */

int vfio_ap_kvm_attach(struct kvm *kvm, crypto_hook *hook)
{
	struct kvm_s390_crypto *crypto = &kvm->arch.crypto;
	int ret = -EPERM;

	if (!crypto->crycbd)
		return -ENODEV;
	mutex_lock(&kvm->lock);
	down_write(&crypto->pqap_hook_rwsem);
	if (!crypto->pqap_hook) {
		crypto->pqap_hook = hook;
		kvm_get_kvm(kvm);
		ret = 0;
	}
	up_write(&crypto->pqap_hook_rwsem);
	mutex_unlock(&kvm->lock);
	return ret;
}

void vfio_ap_kvm_detach(struct kvm *kvm)
{
	struct kvm_s390_crypto *crypto = &kvm->arch.crypto;

	mutex_lock(&kvm->lock);
	down_write(&crypto->pqap_hook_rwsem);
	crypto->pqap_hook = NULL;
	up_write(&crypto->pqap_hook_rwsem);
	mutex_unlock(&kvm->lock);
	kvm_put_kvm(kvm);
}

void vfio_ap_kvm_set_masks(struct kvm *kvm, unsigned long *apm,
			   unsigned long *aqm, unsigned long *adm)
{
	mutex_lock(&kvm->lock);
	kvm_arch_crypto_set_masks(kvm, apm, aqm, adm);
	mutex_unlock(&kvm->lock);
}

u64 vfio_ap_kvm_gisa(struct kvm *kvm)
{
	return virt_to_phys(kvm->arch.gisa_int.origin);
}

/* The hook: operands, and what they may name */

u64 *vfio_ap_vcpu_gprs(struct kvm_vcpu *vcpu)
{
	return vcpu->run->s.regs.gprs;
}

bool vfio_ap_vcpu_has_aiv(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.sie_block->eca & ECA_AIV;
}

struct kvm *vfio_ap_vcpu_kvm(struct kvm_vcpu *vcpu)
{
	return vcpu->kvm;
}

crypto_hook *vfio_ap_vcpu_hook(struct kvm_vcpu *vcpu)
{
	return vcpu->kvm->arch.crypto.pqap_hook;
}

bool vfio_ap_vcpu_has_gpa(struct kvm_vcpu *vcpu, u64 gpa)
{
	return kvm_s390_is_gpa_in_memslot(vcpu->kvm, gpa);
}

bool vfio_ap_vcpu_shares(struct kvm_vcpu *vcpu, u64 phys)
{
	return !kvm_s390_pv_cpu_is_protected(vcpu) ||
	       !uv_pin_shared(phys & PAGE_MASK);
}

/* VFIO: a page's address, and a reference beyond the pin */

bool vfio_ap_pin(struct vfio_device *vdev, u64 iova, u64 *phys)
{
	struct page *page;

	if (vfio_pin_pages(vdev, iova, 1, IOMMU_READ | IOMMU_WRITE, &page) != 1)
		return false;
	get_page(page);
	*phys = page_to_phys(page) | offset_in_page(iova);
	return true;
}

void vfio_ap_put_page(u64 phys)
{
	put_page(phys_to_page(phys));
}
