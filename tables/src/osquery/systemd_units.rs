//! `systemd_units`: units from their files on disk. `sub_state` follows `active_state`: the exact one is known only to the
//! running manager.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::units::{self, Activity};

table! {
    /// Units of systemd, with what enables them; unit_file_state is a word of `systemctl is-enabled`, such as enabled, disabled, static, masked or linked.
    systemd_units: kept {
        id: Text,
        description: Text,
        load_state: Text,
        active_state: Text,
        sub_state: Text,
        unit_file_state: Text,
        following: Text,
        object_path: Text,
        job_id: BigInt,
        job_type: Text,
        job_path: Text,
        fragment_path: Text,
        user: Text,
        source_path: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(units::all(scan).into_iter().map(|unit| {
        row! {
            id: unit.id,
            description: unit.description,
            load_state: if unit.state.is_masked() { "masked" } else { "loaded" },
            active_state: unit.activity.word(),
            sub_state: match unit.activity {
                Activity::Active => "running",
                Activity::Inactive => "dead",
                Activity::Unknown => "unknown",
            },
            unit_file_state: unit.state.word(),
            following: "",
            object_path: "",
            job_id: 0,
            job_type: "",
            job_path: "",
            fragment_path: unit.path,
            user: unit.user,
            source_path: "",
        }
    }))
}
