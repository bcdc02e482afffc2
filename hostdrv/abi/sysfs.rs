// SPDX-License-Identifier: GPL-2.0
//! Attribute tables, and the way from a C callback to an attribute.
//!
//! Listings that can be longer than a page are binary attributes, which are
//! read in pieces; their text does not differ.

use core::fmt::Write;
use core::ptr::{null, null_mut};
use core::slice;

use kernel::error::{from_result, to_result, Result};
use kernel::ffi::{c_char, c_int};
use kernel::prelude::*;

use super::{ap_bus, bindings, mdev};
use crate::attributes;
use crate::guest::Mdev;
use crate::rules::order::Free;
use crate::rules::{Attribute, Window, FEATURES};

/// C data that nobody writes to.
#[repr(transparent)]
struct Static<T>(T);

// SAFETY: Nobody writes to it.
unsafe impl<T> Sync for Static<T> {}

type Show = unsafe extern "C" fn(
    *mut bindings::device,
    *mut bindings::device_attribute,
    *mut c_char,
) -> isize;
type Store = unsafe extern "C" fn(
    *mut bindings::device,
    *mut bindings::device_attribute,
    *const c_char,
    usize,
) -> isize;

const fn attribute(name: &'static CStr, mode: u16) -> bindings::attribute {
    bindings::attribute {
        name: name.as_ptr().cast(),
        mode,
        ..pin_init::zeroed()
    }
}

const fn device_attribute(
    name: &'static CStr,
    mode: u16,
    show: Option<Show>,
    store: Option<Store>,
) -> Static<bindings::device_attribute> {
    Static(bindings::device_attribute {
        attr: attribute(name, mode),
        __bindgen_anon_1: bindings::device_attribute__bindgen_ty_1 { show },
        __bindgen_anon_2: bindings::device_attribute__bindgen_ty_2 { store },
    })
}

const fn group(
    attrs: *mut *mut bindings::attribute,
    bin_attrs: *const *const bindings::bin_attribute,
) -> Static<bindings::attribute_group> {
    Static(bindings::attribute_group {
        __bindgen_anon_2: bindings::attribute_group__bindgen_ty_2 { attrs },
        bin_attrs,
        ..pin_init::zeroed()
    })
}

const fn attr(attribute: &'static Static<bindings::device_attribute>) -> *mut bindings::attribute {
    (&raw const attribute.0.attr).cast_mut()
}

/// Length of the buffer that a plain attribute is shown in.
const PAGE: usize = 4096;

/// Shows what `write` writes in a page.
///
/// # Safety
///
/// `buf` points to a page.
unsafe fn show(buf: *mut c_char, write: impl FnOnce(&mut dyn Write)) -> isize {
    // SAFETY: By the demand on the caller.
    let page = unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), PAGE) };
    let mut window = Window::new(page, 0);
    write(&mut window);
    window.filled() as isize
}

/// Shows the piece of what `write` writes that a reader asked for.
///
/// # Safety
///
/// `buf` points to `count` bytes.
unsafe fn piece(
    buf: *mut c_char,
    offset: bindings::loff_t,
    count: usize,
    write: impl FnOnce(&mut dyn Write) -> Result,
) -> isize {
    // SAFETY: By the demand on the caller.
    let bytes = unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), count) };
    let mut window = Window::new(bytes, usize::try_from(offset).unwrap_or(usize::MAX));
    from_result(|| write(&mut window).map(|()| window.filled() as isize))
}

macro_rules! edits {
    ($($store:ident => $attribute:ident;)*) => {$(
        unsafe extern "C" fn $store(
            device: *mut bindings::device,
            _attribute: *mut bindings::device_attribute,
            buf: *const c_char,
            count: usize,
        ) -> isize {
            // SAFETY: sysfs passes the mdev's device, and the text written.
            unsafe { store(device, Attribute::$attribute, buf, count) }
        }
    )*};
}

edits! {
    assign_adapter => AssignAdapter;
    unassign_adapter => UnassignAdapter;
    assign_domain => AssignDomain;
    unassign_domain => UnassignDomain;
    assign_control_domain => AssignControlDomain;
    unassign_control_domain => UnassignControlDomain;
    ap_config_store => ApConfig;
}

/// Makes the edit that was written.
///
/// # Safety
///
/// `device` is of an mdev of ours; `buf` points to `count` bytes.
unsafe fn store(
    device: *mut bindings::device,
    attribute: Attribute,
    buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: By the demand on the caller.
    let mdev = unsafe { mdev::of_device(device) };
    // SAFETY: By the demand on the caller.
    let text = unsafe { slice::from_raw_parts(buf.cast::<u8>(), count) };
    let free = &mut Free::on_entry();
    from_result(|| attributes::store(free, &mdev, attribute, text).map(|()| count as isize))
}

unsafe extern "C" fn ap_config_show(
    device: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buf: *mut c_char,
) -> isize {
    // SAFETY: sysfs passes the mdev's device.
    let mdev = unsafe { mdev::of_device(device) };
    // SAFETY: sysfs passes a page.
    unsafe {
        show(buf, |out| {
            attributes::ap_config(&mut Free::on_entry(), &mdev, out)
        })
    }
}

unsafe extern "C" fn features_show(
    _device: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buf: *mut c_char,
) -> isize {
    // SAFETY: sysfs passes a page.
    unsafe { show(buf, |out| attributes::line(FEATURES, out)) }
}

unsafe extern "C" fn status_show(
    device: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buf: *mut c_char,
) -> isize {
    // an AP device begins with its device (checked in `bindings`)
    let status = ap_bus::queue_status(device.cast());
    // SAFETY: sysfs passes a page.
    unsafe { show(buf, |out| attributes::line(status, out)) }
}

macro_rules! listings {
    ($($read:ident => $attribute:ident, $write:path;)*) => {$(
        unsafe extern "C" fn $read(
            _file: *mut bindings::file,
            kobject: *mut bindings::kobject,
            _attribute: *const bindings::bin_attribute,
            buf: *mut c_char,
            offset: bindings::loff_t,
            count: usize,
        ) -> isize {
            // SAFETY: sysfs passes the object of the mdev's device.
            let mdev: kernel::sync::ArcBorrow<'_, Mdev> = unsafe { mdev::of_kobject(kobject) };
            // SAFETY: sysfs passes a buffer of that size.
            unsafe { piece(buf, offset, count, |out| $write(&mut Free::on_entry(), &mdev, out)) }
        }

        static $attribute: Static<bindings::bin_attribute> = Static(bindings::bin_attribute {
            attr: attribute(attribute_name(concat!(stringify!($read), "\0")), 0o444),
            read: Some($read),
            ..pin_init::zeroed()
        });
    )*};
}

const fn attribute_name(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("checked at compile time"),
    }
}

listings! {
    matrix => MATRIX, attributes::matrix;
    guest_matrix => GUEST_MATRIX, attributes::guest_matrix;
    control_domains => CONTROL_DOMAINS, attributes::control_domains;
    explain => EXPLAIN, attributes::explain;
}

static ASSIGN_ADAPTER: Static<bindings::device_attribute> =
    device_attribute(c"assign_adapter", 0o200, None, Some(assign_adapter));
static UNASSIGN_ADAPTER: Static<bindings::device_attribute> =
    device_attribute(c"unassign_adapter", 0o200, None, Some(unassign_adapter));
static ASSIGN_DOMAIN: Static<bindings::device_attribute> =
    device_attribute(c"assign_domain", 0o200, None, Some(assign_domain));
static UNASSIGN_DOMAIN: Static<bindings::device_attribute> =
    device_attribute(c"unassign_domain", 0o200, None, Some(unassign_domain));
static ASSIGN_CONTROL_DOMAIN: Static<bindings::device_attribute> = device_attribute(
    c"assign_control_domain",
    0o200,
    None,
    Some(assign_control_domain),
);
static UNASSIGN_CONTROL_DOMAIN: Static<bindings::device_attribute> = device_attribute(
    c"unassign_control_domain",
    0o200,
    None,
    Some(unassign_control_domain),
);
static AP_CONFIG: Static<bindings::device_attribute> = device_attribute(
    c"ap_config",
    0o644,
    Some(ap_config_show),
    Some(ap_config_store),
);
static FEATURES_ATTR: Static<bindings::device_attribute> =
    device_attribute(c"features", 0o444, Some(features_show), None);
static STATUS: Static<bindings::device_attribute> =
    device_attribute(c"status", 0o444, Some(status_show), None);

static MDEV_ATTRS: Static<[*mut bindings::attribute; 8]> = Static([
    attr(&ASSIGN_ADAPTER),
    attr(&UNASSIGN_ADAPTER),
    attr(&ASSIGN_DOMAIN),
    attr(&UNASSIGN_DOMAIN),
    attr(&ASSIGN_CONTROL_DOMAIN),
    attr(&UNASSIGN_CONTROL_DOMAIN),
    attr(&AP_CONFIG),
    null_mut(),
]);
static MDEV_BIN_ATTRS: Static<[*const bindings::bin_attribute; 5]> = Static([
    &raw const CONTROL_DOMAINS.0,
    &raw const MATRIX.0,
    &raw const GUEST_MATRIX.0,
    &raw const EXPLAIN.0,
    null(),
]);
static MATRIX_ATTRS: Static<[*mut bindings::attribute; 2]> =
    Static([attr(&FEATURES_ATTR), null_mut()]);
static QUEUE_ATTRS: Static<[*mut bindings::attribute; 2]> = Static([attr(&STATUS), null_mut()]);

static MDEV_GROUP: Static<bindings::attribute_group> = group(
    (&raw const MDEV_ATTRS.0).cast_mut().cast(),
    (&raw const MDEV_BIN_ATTRS.0).cast(),
);
static MATRIX_GROUP: Static<bindings::attribute_group> =
    group((&raw const MATRIX_ATTRS.0).cast_mut().cast(), null());
static QUEUE_GROUP: Static<bindings::attribute_group> =
    group((&raw const QUEUE_ATTRS.0).cast_mut().cast(), null());

static MDEV_GROUPS: Static<[*const bindings::attribute_group; 2]> =
    Static([&raw const MDEV_GROUP.0, null()]);
static MATRIX_GROUPS: Static<[*const bindings::attribute_group; 2]> =
    Static([&raw const MATRIX_GROUP.0, null()]);

/// The attributes of mdevs.
pub(super) fn mdev_groups() -> *const *const bindings::attribute_group {
    MDEV_GROUPS.0.as_ptr()
}

/// The attributes of the matrix device.
pub(super) fn matrix_groups() -> *const *const bindings::attribute_group {
    MATRIX_GROUPS.0.as_ptr()
}

/// Gives a queue's device its attribute.
///
/// # Safety
///
/// `device` is a registered device.
pub(super) unsafe fn add_queue_attributes(device: *mut bindings::device) -> Result {
    // SAFETY: By the demand on the caller; the object is part of the device.
    let kobject = unsafe { &raw mut (*device).kobj };
    // SAFETY: As above; the group stays as long as the module.
    let ret: c_int = unsafe { bindings::sysfs_create_group(kobject, &QUEUE_GROUP.0) };
    to_result(ret)
}

/// Takes it away, and waits for those who read it.
///
/// # Safety
///
/// `device` is a device that was given the attribute.
pub(super) unsafe fn remove_queue_attributes(device: *mut bindings::device) {
    // SAFETY: By the demand on the caller; the object is part of the device.
    let kobject = unsafe { &raw mut (*device).kobj };
    // SAFETY: As above.
    unsafe { bindings::sysfs_remove_group(kobject, &QUEUE_GROUP.0) };
}
