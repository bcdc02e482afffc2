// SPDX-License-Identifier: MIT OR Apache-2.0
//! The defects, and what shows each.

use super::{Proof, Weakness};

const RUN: &str = "RUN";
const READ: &str = "READ";
const UNSURE: &str = "UNSURE";

/// All of them.
pub const CATALOGUE: &[Weakness] = &[
    Weakness {
        number: 1,
        found: RUN,
        defect: "AQIC answered by an unexpected code leaks a pinned page and a subclass",
        proof: Proof::Pending {
            tests: &["logic::interrupts::what_was_not_enabled_is_let_go"],
        },
    },
    Weakness {
        number: 2,
        found: RUN,
        defect: "a queue that was filtered keeps a pointer to the mdev it was unassigned from",
        proof: Proof::Both {
            test: "driver::weaknesses::kasan::w02_a_removed_mdev_is_not_touched",
            c: "KASAN: use after free",
            rust: "nothing",
            more: &["logic::random::histories_keep_the_invariants"],
        },
    },
    Weakness {
        number: 3,
        found: RUN,
        defect: "AQIC works for queues that were filtered from the guest",
        proof: Proof::Pending {
            tests: &[
                "logic::life::masks_are_written_by_one_at_a_time",
                "logic::interrupts::a_done_reset_ends_what_was_set_up_before_it",
            ],
        },
    },
    Weakness {
        number: 4,
        found: READ,
        defect: "global locks are held while waiting for a reset",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w04_nobody_waits_for_the_queues_of_others",
            c: "an assignment to another mdev waits for the stuck queue",
            rust: "an assignment to another mdev is done at once",
            more: &["driver::stuck::a_stuck_queue_holds_up_no_other_mdev"],
        },
    },
    Weakness {
        number: 5,
        found: RUN,
        defect: "listings are cut at the end of a page",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w05_listings_are_whole",
            c: "4095 of 6144 bytes",
            rust: "6144 of 6144 bytes",
            more: &["logic::format::a_listing_of_any_length_is_read_in_pieces"],
        },
    },
    Weakness {
        number: 6,
        found: READ,
        defect: "a load that fails leaves things behind",
        proof: Proof::Both {
            test: "driver::weaknesses::w06_a_load_that_fails_leaves_nothing",
            c: "the log stays registered",
            rust: "nothing stays",
            more: &[],
        },
    },
    Weakness {
        number: 7,
        found: RUN,
        defect: "what a guest gets depends on the history of its mdev",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w07_the_filter_is_applied_after_unassign",
            c: "guest_matrix .0004",
            rust: "guest_matrix 05.0004",
            more: &["logic::filter::the_filter_has_no_memory"],
        },
    },
    Weakness {
        number: 8,
        found: READ,
        defect: "`ap_config` shows masks that are being checked, and are refused",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w08_refused_masks_are_never_seen",
            c: "a reader saw refused masks",
            rust: "readers saw the masks that stood",
            more: &["logic::random::histories_keep_the_invariants"],
        },
    },
    Weakness {
        number: 9,
        found: RUN,
        defect: "a write to `ap_config` changes the guest up to three times; `,,` wipes all",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w09_ap_config_changes_the_guest_once",
            c: "0x04,0x08,0x00; 0x04,0x00,0x00; 0x05,0x04,0x00; 3 signals; `,,` is ok",
            rust: "0x05,0x04,0x00; 1 signals; `,,` is Invalid argument",
            more: &["logic::parse::ap_config_takes_three_masks_and_nothing_else"],
        },
    },
    Weakness {
        number: 10,
        found: RUN,
        defect: "a reset counts as done although TAPQ says that it failed",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w10_a_reset_that_fails_later_has_failed",
            c: "RESET is ok",
            rust: "RESET is EIO",
            more: &[
                "logic::reset::only_known_codes_are_success",
                "protocol::guest_reset_that_fails_against_another",
            ],
        },
    },
    Weakness {
        number: 11,
        found: RUN,
        defect: "a queue is given to a guest while the host's reset of it runs",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w11_a_queue_is_reset_before_a_guest_has_it",
            c: "guest_matrix 05.0004 while a reset runs",
            rust: "guest_matrix .0004 while a reset runs",
            more: &["logic::life::a_queue_enters_a_guest_only_after_its_own_reset"],
        },
    },
    Weakness {
        number: 12,
        found: RUN,
        defect: "a failed reset is for ever; until the next change the guest keeps the queue",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w12_a_failed_reset_is_no_end",
            c: "failed: 05.0004; assigned: .0004 .0005; reset: .0004 .0005",
            rust: "failed: .0004; assigned: .0004 .0005; reset: 05.0004 05.0005",
            more: &["logic::life::a_failed_reset_is_tried_again"],
        },
    },
    Weakness {
        number: 13,
        found: RUN,
        defect: "a bind inside a bus scan is not filtered if the scan's reason goes meanwhile",
        proof: Proof::Both {
            test: "driver::weaknesses::w13_a_bind_inside_a_bus_scan_is_not_forgotten",
            c: "the queue is forgotten",
            rust: "the queue joins",
            more: &[
                "logic::filter::a_bind_during_a_scan_is_not_lost",
                "driver::storm::everything_at_once_settles",
            ],
        },
    },
    Weakness {
        number: 14,
        found: READ,
        defect: "the AP bus's own AQIC makes the guest's answer 07",
        proof: Proof::Pending {
            tests: &["logic::interrupts::what_the_bus_enabled_is_disabled_first"],
        },
    },
    Weakness {
        number: 15,
        found: READ,
        defect: "after a `driver_override` was cleared every assignment fails",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w15_a_cleared_override_refuses_nothing_else",
            c: "writing what is assigned already: Cannot assign requested address",
            rust: "writing what is assigned already: ok",
            more: &[
                "logic::edit::the_bus_is_asked_about_added_queues_only",
                "driver::takeover::a_queue_is_reset_before_its_next_driver_has_it",
            ],
        },
    },
    Weakness {
        number: 16,
        found: RUN,
        defect: "a device that was asked back is given to the guest again",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w16_what_was_asked_back_stays_away",
            c: "after the request the guest got 0x06,0x08,0x00",
            rust: "after the request the guest got none",
            more: &["logic::life::a_revoked_device_gets_nothing_more"],
        },
    },
    Weakness {
        number: 17,
        found: RUN,
        defect: "eventfds outlive the opener; a count of 0 reads beyond the argument",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w17_eventfds_go_with_their_opener",
            c: "the old eventfd: 2 signals; a count of 0: ok",
            rust: "the old eventfd: 0 signals; a count of 0: EINVAL",
            more: &[],
        },
    },
    Weakness {
        number: 18,
        found: READ,
        defect: "user memory is copied with the global lock held; and pinned, which is pending: it needs AP interrupts",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w18_nobody_waits_for_memory_of_others",
            c: "an assignment to another mdev waits for that memory",
            rust: "an assignment to another mdev is done at once",
            more: &["logic::interrupts::who_is_late_does_nothing"],
        },
    },
    Weakness {
        number: 19,
        found: READ,
        defect: "unmapping memory takes the global lock inside locks that pinning takes",
        proof: Proof::Pending {
            tests: &["logic::interrupts::who_is_late_does_nothing"],
        },
    },
    Weakness {
        number: 20,
        found: RUN,
        defect: "unmapping address 0, as iommufd does at close, disables interrupts of queues that have none",
        proof: Proof::Both {
            test: "driver::weaknesses::w20_unmapping_leaves_queues_without_interrupts_alone",
            c: "AQIC was issued",
            rust: "no AQIC was issued",
            more: &["logic::interrupts::who_has_no_interrupt_disables_none"],
        },
    },
    Weakness {
        number: 21,
        found: READ,
        defect: "the s390dbf log keeps pointers to a stack",
        proof: Proof::Pending {
            tests: &["logic::log::a_format_takes_numbers_and_no_pointers"],
        },
    },
    Weakness {
        number: 22,
        found: READ,
        defect: "page and subclass are freed although interrupts may still be on",
        proof: Proof::Pending {
            tests: &["logic::interrupts::what_may_be_on_is_kept_until_a_reset_is_done"],
        },
    },
    Weakness {
        number: 23,
        found: RUN,
        defect: "one line of the log per queue of a refused write",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w23_a_refusal_is_one_line",
            c: "256 lines",
            rust: "1 lines",
            more: &["logic::edit::in_use_names_the_mdev_and_the_queues"],
        },
    },
    Weakness {
        number: 24,
        found: READ,
        defect: "a change between the query at load and the registration is not seen",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w24_a_change_while_loading_is_seen",
            c: "guest_matrix 05.0004",
            rust: "guest_matrix 05.0004 05.0005",
            more: &["logic::filter::what_the_bus_told_counts_for_more_than_what_was_asked"],
        },
    },
    Weakness {
        number: 25,
        found: UNSURE,
        defect: "a queue that was off, and not reset, is passed on to another guest",
        proof: Proof::Both {
            test: "driver::weaknesses::cases::w25_an_offline_queue_is_not_passed_on",
            c: "guest_matrix of the next mdev 05.0004",
            rust: "guest_matrix of the next mdev .0004",
            more: &["logic::filter::an_offline_adapter_comes_back_to_its_guest_but_to_no_other"],
        },
    },
];
