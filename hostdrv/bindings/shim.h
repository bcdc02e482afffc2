/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VFIO_AP_SHIM_H
#define VFIO_AP_SHIM_H

#include <linux/kvm_host.h>
#include <linux/vfio.h>
#include <asm/ap.h>

bool vfio_ap_available(void);
int vfio_ap_qci(struct ap_config_info *info);
int vfio_ap_kvm_attach(struct kvm *kvm, crypto_hook *hook);
void vfio_ap_kvm_detach(struct kvm *kvm);
void vfio_ap_kvm_set_masks(struct kvm *kvm, unsigned long *apm,
			   unsigned long *aqm, unsigned long *adm);
u64 vfio_ap_kvm_gisa(struct kvm *kvm);
u64 *vfio_ap_vcpu_gprs(struct kvm_vcpu *vcpu);
bool vfio_ap_vcpu_has_aiv(struct kvm_vcpu *vcpu);
struct kvm *vfio_ap_vcpu_kvm(struct kvm_vcpu *vcpu);
crypto_hook *vfio_ap_vcpu_hook(struct kvm_vcpu *vcpu);
bool vfio_ap_vcpu_has_gpa(struct kvm_vcpu *vcpu, u64 gpa);
bool vfio_ap_vcpu_shares(struct kvm_vcpu *vcpu, u64 phys);
bool vfio_ap_pin(struct vfio_device *vdev, u64 iova, u64 *phys);
void vfio_ap_put_page(u64 phys);

#endif
