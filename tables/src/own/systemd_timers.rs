//! `systemd_timers`: timer units and what they start (`systemd.timer(5)`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::units::{self, UnitFile};

table! {
    /// Timers of systemd: the unit each one starts, whether it is enabled (`state`) and running (`active_state`).
    systemd_timers {
        name: Text,
        unit: Text,
        state: Text,
        active_state: Text,
        schedule: Text,
        path: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    let timers =
        units::all(&scan).into_iter().filter(|unit| unit.id.rsplit_once('.').is_some_and(|(_, kind)| kind == "timer"));
    Box::new(timers.collect::<Vec<_>>().into_iter().map(move |timer| {
        let file = UnitFile::parse(&scan.text(&timer.path).unwrap_or_default());
        let started = file.value("Timer", "Unit").map_or_else(|| timer.id.replace(".timer", ".service"), str::to_owned);
        row! {
            name: timer.id,
            unit: started,
            state: timer.state.word(),
            active_state: timer.activity.word(),
            schedule: file.value("Timer", "OnCalendar").or_else(|| file.value("Timer", "OnUnitActiveSec")),
            path: timer.path,
        }
    }))
}
