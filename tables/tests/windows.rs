//! The tables over a Windows image that the test makes: hives with known content, tasks, and files with capitals as they happen
//! to be.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

#[path = "support/hive_writer.rs"]
mod hive_writer;

use std::path::PathBuf;

use catalog::module::Os;
use hive_writer::{Key, WRITTEN, WRITTEN_UNIX, key, wide};
use tables::{Engine, Host, Limits, Parameters, QueryOutput};

const BOB: &str = "S-1-5-21-1-2-3-1001";

struct Image {
    folder: tempfile::TempDir,
}

impl Image {
    fn new() -> Self {
        Image { folder: tempfile::tempdir().unwrap() }
    }

    fn with(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn output(&self, sql: &str) -> QueryOutput {
        let engine = Engine::open(Host::image(self.folder.path()), Limits::default()).unwrap();
        engine.query(sql, &Parameters::new()).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        let output = self.output(sql);
        assert!(output.warnings.is_empty(), "{sql}: {:?}", output.warnings);
        output.rows.iter().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")).collect()
    }
}

fn service(kind: u32, start: u32, path: &str) -> Key {
    key("").number("Type", kind).number("Start", start).value("ImagePath", 2, wide(path))
}

fn system() -> Key {
    let services = key("")
        .at("Spooler", service(0x110, 2, r"%SystemRoot%\System32\spoolsv.exe").text("DisplayName", "Print Spooler"))
        .at(
            "TermService",
            service(0x20, 3, r"svchost.exe -k NetworkService")
                .text("ObjectName", r"NT Authority\NetworkService")
                .with(key("Parameters").value("ServiceDll", 2, wide(r"%SystemRoot%\System32\termsrv.dll"))),
        )
        .at("disk", service(1, 0, r"System32\drivers\disk.sys").text("DisplayName", "Disk Driver"))
        .at("filter", service(2, 1, ""))
        .at("Off", service(0x10, 4, r"C:\off.exe"))
        .at("NoService", key("").text("Other", "x"))
        .at(
            r"LanmanServer\Shares",
            key("").texts("Data", &["CSCFlags=0", "MaxUses=4294967295", r"Path=C:\Data", "Remark=All", "Type=0"]),
        )
        .at(
            r"SharedAccess\Parameters\FirewallPolicy\FirewallRules",
            key("").text(
                "RemoteDesktop",
                "v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public|LPort=3389|Name=Remote Desktop|",
            ),
        )
        .at(
            &format!(r"bam\State\UserSettings\{BOB}"),
            key("").value(r"\Device\HarddiskVolume1\x.exe", 3, WRITTEN.to_le_bytes()).number("Version", 1),
        );
    let cache = [
        &[0x34_u8][..],
        &[0; 0x33],
        b"10ts\0\0\0\0\x16\0\0\0",
        &[12, 0],
        &wide(r"C:\a.x")[..12],
        &WRITTEN.to_le_bytes(),
    ]
    .concat();
    let set = key("")
        .at("Services", services)
        .at(r"Control\ComputerName\ComputerName", key("").text("ComputerName", "PC"))
        .at(
            r"Control\Session Manager\Environment",
            key("").text("PROCESSOR_ARCHITECTURE", "AMD64").value("Path", 2, wide(r"%SystemRoot%\system32")),
        )
        .at(r"Control\Session Manager\AppCompatCache", key("").value("AppCompatCache", 3, cache))
        .at(
            r"Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}\0000",
            key("")
                .text("DriverDesc", "Disk drive")
                .text("DriverVersion", "10.0.1.2")
                .text("InfPath", "disk.inf")
                .value("DriverDateData", 3, WRITTEN.to_le_bytes()),
        )
        .at(
            r"Enum\SCSI\Disk&Ven_X\4&1",
            key("")
                .text("Service", "disk")
                .text("DeviceDesc", "@disk.inf,%x%;A disk")
                .text("Mfg", "@disk.inf,%m%;Maker")
                .text("Driver", r"{4d36e967-e325-11ce-bfc1-08002be10318}\0000"),
        );
    key("ROOT").at("ControlSet001", set).at("ControlSet002", key("")).at("Select", key("").number("Current", 1))
}

fn software() -> Key {
    let version = key("")
        .text("ProductName", "Windows 10 Pro")
        .text("CurrentBuildNumber", "22631")
        .number("CurrentMajorVersionNumber", 10)
        .number("CurrentMinorVersionNumber", 0)
        .number("UBR", 4037)
        .number("InstallDate", 1_700_000_000);
    let task_record =
        [&3_u32.to_le_bytes()[..], &WRITTEN.to_le_bytes(), &WRITTEN.to_le_bytes(), &[0; 4], &5_u32.to_le_bytes()]
            .concat();
    key("ROOT")
        .at(r"Microsoft\Windows NT\CurrentVersion", version)
        .at(
            r"Microsoft\Windows NT\CurrentVersion\ProfileList",
            key("")
                .at("S-1-5-18", key("").value("ProfileImagePath", 2, wide(r"%systemroot%\system32\config\systemprofile")))
                .at(BOB, key("").value("ProfileImagePath", 2, wide(r"C:\Users\Bob"))),
        )
        .at(
            r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache",
            key("")
                .at(r"Tree\Vendor\Update", key("").text("Id", "{A}"))
                .at(r"Tasks\{A}", key("").value("DynamicInfo", 3, task_record)),
        )
        .at(
            r"Microsoft\Windows\CurrentVersion\Run",
            key("").text("Agent", r"C:\agent.exe /x").text("Old", r"C:\old.exe").text("", "ignored"),
        )
        .at(
            r"Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run",
            key("").value("Old", 3, vec![3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        )
        .at(
            r"Microsoft\Windows\CurrentVersion\Uninstall\{016BACC2-4BD7-4137-BA71-756536C0DC40}",
            key("").text("DisplayName", "A program").text("DisplayVersion", "1.2").text("Publisher", "Maker"),
        )
        .at(
            r"Microsoft\Windows NT\CurrentVersion\AppCompatFlags",
            key("")
                .at(r"Custom\x.exe", key("").value("{SDB}.sdb", 11, WRITTEN.to_le_bytes()))
                .at(r"InstalledSDB\{sdb}", key("").text("DatabasePath", r"C:\x.sdb").text("DatabaseDescription", "A fix")),
        )
        .at(
            r"Classes\Installer\UpgradeCodes\11111111111111111111111111111111",
            key("").text("2CCAB6107DB47314AB175756630CCD04", ""),
        )
        .at(
            r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\Package_for_KB5007186~31bf~amd64~~1.0",
            key("")
                .number("CurrentState", 0x70)
                .number("InstallTimeHigh", u32::try_from(WRITTEN >> 32).unwrap())
                .number("InstallTimeLow", u32::try_from(WRITTEN & 0xffff_ffff).unwrap()),
        )
}

fn sam() -> Key {
    let text = |record: &mut Vec<u8>, at: usize, base: usize, text: &str| {
        let bytes = &wide(text)[..text.len() * 2];
        let offset = u32::try_from(record.len() - base).unwrap();
        record[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        record[at + 4..at + 8].copy_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        record.extend(bytes);
    };
    let mut account = vec![0; 0xcc];
    text(&mut account, 0x0c, 0xcc, "bob");
    text(&mut account, 0x24, 0xcc, "Works here");
    let mut flags = vec![0; 80];
    flags[0x34..0x38].copy_from_slice(&513_u32.to_le_bytes());
    let mut group = vec![0; 0x34];
    text(&mut group, 0x10, 0x34, "Administrators");
    let members = u32::try_from(group.len() - 0x34).unwrap();
    group[0x28..0x2c].copy_from_slice(&members.to_le_bytes());
    group[0x30..0x34].copy_from_slice(&1_u32.to_le_bytes());
    group.extend([1, 5, 0, 0, 0, 0, 0, 5]);
    group.extend([21_u32, 1, 2, 3, 1001].iter().flat_map(|number| number.to_le_bytes()));
    let domain: Vec<u8> = [9_u32, 1, 2, 3].iter().flat_map(|number| number.to_le_bytes()).collect();
    key("ROOT")
        .at(r"SAM\Domains\Account", key("").value("V", 3, domain))
        .at(r"SAM\Domains\Account\Users\000003E9", key("").value("V", 3, account).value("F", 3, flags))
        .at(r"SAM\Domains\Account\Users\Names\bob", key("").value("", 0x3e9, Vec::new()))
        .at(r"SAM\Domains\Builtin\Aliases\00000220", key("").value("C", 3, group))
}

fn bob() -> Key {
    let mut record = vec![0; 72];
    record[4] = 3;
    record[60..68].copy_from_slice(&WRITTEN.to_le_bytes());
    key("ROOT")
        .at(r"Software\Microsoft\Windows\CurrentVersion\RunOnce", key("").text("Once", r"C:\once.exe"))
        .at(
            r"Software\Microsoft\Windows\CurrentVersion\Explorer\UserAssist\{CEBFF5CD}\Count",
            key("").value(r"P:\Jvaqbjf\abgrcnq.rkr", 3, record).value("HRZR_PGYFRFFVBA", 3, vec![0; 8]),
        )
        .at("Environment", key("").text("Temp", r"C:\t"))
}

fn boot() -> Key {
    key("ROOT").at(
        r"Objects\{9dea862c-5cdd-4e70-acc1-f32b344d4795}",
        key("")
            .at("Description", key("").number("Type", 0x1010_0002))
            .at(r"Elements\25000004", key("").value("Element", 3, 30_u64.to_le_bytes()))
            .at(r"Elements\24000001", key("").texts("Element", &["{a}", "{b}"]))
            .at(r"Elements\16000049", key("").value("Element", 3, vec![1])),
    )
}

const TASK: &str = "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n<Task xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\
<Settings><Enabled>true</Enabled><Hidden>true</Hidden></Settings><Actions><Exec><Command>C:\\u.exe</Command>\
<Arguments>/a</Arguments><WorkingDirectory>C:\\</WorkingDirectory></Exec></Actions></Task>";

/// The folders have capitals as several versions of Windows write them.
fn image() -> Image {
    let task: Vec<u8> = [0xff, 0xfe].into_iter().chain(TASK.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    Image::new()
        .with("WINDOWS/system32/Config/SYSTEM", system().hive())
        .with("WINDOWS/system32/Config/software", software().hive())
        .with("WINDOWS/system32/Config/SAM", sam().hive())
        .with("WINDOWS/system32/Config/DEFAULT", key("ROOT").at("Software", key("")).hive())
        .with("WINDOWS/system32/Tasks/Vendor/Update", task)
        .with("Users/bob/ntuser.dat", bob().hive())
        .with("Users/bob/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup/x.lnk", "")
        .with("Users/bob/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup/desktop.ini", "")
        .with("boot/bcd", boot().hive())
}

#[test]
fn the_registry_is_one_tree() {
    let image = image();
    assert_eq!(
        image.ask("SELECT DISTINCT key FROM registry ORDER BY key"),
        ["HKEY_CLASSES_ROOT", "HKEY_LOCAL_MACHINE", "HKEY_USERS"]
    );
    assert_eq!(
        image.ask("SELECT name, type FROM registry WHERE key = 'HKEY_LOCAL_MACHINE' ORDER BY name"),
        ["BCD00000000|subkey", "SAM|subkey", "SOFTWARE|subkey", "SYSTEM|subkey"]
    );
    // As a query spells it, so that it finds its own rows.
    assert_eq!(
        image.ask(r"SELECT name, type, data, mtime FROM registry WHERE key = 'HKEY_LOCAL_MACHINE\software\MICROSOFT\Windows NT\CurrentVersion' AND name LIKE '%u%' ORDER BY name"),
        [
            format!("CurrentBuildNumber|REG_SZ|22631|{WRITTEN_UNIX}"),
            format!("CurrentMajorVersionNumber|REG_DWORD|10|{WRITTEN_UNIX}"),
            format!("CurrentMinorVersionNumber|REG_DWORD|0|{WRITTEN_UNIX}"),
            format!("ProductName|REG_SZ|Windows 10 Pro|{WRITTEN_UNIX}"),
            format!("Schedule|subkey||{WRITTEN_UNIX}"),
            format!("UBR|REG_DWORD|4037|{WRITTEN_UNIX}"),
        ]
    );
    assert_eq!(
        image.ask(
            r"SELECT data FROM registry WHERE path = 'HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\disk\Start'"
        ),
        ["0"]
    );
    assert_eq!(
        image.ask(r"SELECT name FROM registry WHERE key LIKE 'HKEY_LOCAL_MACHINE\SYSTEM\%ControlSet%\Control\ComputerName' ORDER BY key"),
        ["ComputerName", "ComputerName"]
    );
    assert_eq!(
        image.ask(r"SELECT path FROM registry WHERE path LIKE 'HKEY_USERS\%\Environment\%'"),
        [format!(r"HKEY_USERS\{BOB}\Environment\Temp")]
    );
    assert_eq!(
        image.ask(r"SELECT count(*) FROM registry WHERE key LIKE 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\%%' AND name = 'DynamicInfo'"),
        ["1"]
    );
    assert_eq!(
        image.ask(r"SELECT name, data FROM registry WHERE key = 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run' AND name = '(Default)'"),
        ["(Default)|ignored"]
    );
    let run = image.ask(r"SELECT name, data FROM registry WHERE key = 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run' AND name = '(Default)'");
    for more in [
        r"key LIKE '%\Run' AND key LIKE 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\%'",
        r"key LIKE '%\Run' AND path LIKE 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run\%'",
    ] {
        let narrowed = image.ask(&format!("SELECT name, data FROM registry WHERE {more} AND name = '(Default)'"));
        assert!(!narrowed.is_empty() && narrowed == run, "{more}: {narrowed:?}");
    }
    assert!(image.ask(r"SELECT * FROM registry WHERE key = 'HKEY_LOCAL_MACHINE\SOFTWARE\..\x'").is_empty());
}

#[test]
fn services_and_drivers_are_told_apart() {
    let image = image();
    assert_eq!(
        image.ask("SELECT name, service_type, start_type, display_name, module_path, user_account, pid FROM services ORDER BY name"),
        [
            "Off|OWN_PROCESS|DISABLED|Off|||",
            "Spooler|OWN_PROCESS(Interactive)|AUTO_START|Print Spooler|||",
            r"TermService|SHARE_PROCESS|DEMAND_START|TermService|%SystemRoot%\System32\termsrv.dll|NT Authority\NetworkService|",
        ]
    );
    assert_eq!(
        image.ask("SELECT device_id, device_name, image, service, version, inf, manufacturer, date FROM drivers ORDER BY service"),
        [
            format!(r"SCSI\Disk&Ven_X\4&1|A disk|C:\Windows\System32\drivers\disk.sys|disk|10.0.1.2|disk.inf|Maker|{WRITTEN_UNIX}"),
            r"|filter|C:\Windows\System32\drivers\filter.sys|filter||||".to_owned(),
        ]
    );
}

#[test]
fn what_starts_by_itself_is_listed() {
    let image = image();
    assert_eq!(
        image.ask("SELECT name, path, status, username, source FROM startup_items ORDER BY name"),
        [
            r"Agent|C:\agent.exe /x|enabled|SYSTEM|HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run".to_owned(),
            r"Old|C:\old.exe|disabled|SYSTEM|HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run".to_owned(),
            format!(r"Once|C:\once.exe|enabled|Bob|HKEY_USERS\{BOB}\SOFTWARE\Microsoft\Windows\CurrentVersion\RunOnce"),
            r"x.lnk|C:\Users\Bob\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\x.lnk|enabled|Bob|C:\Users\Bob\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup".to_owned(),
        ]
    );
    assert_eq!(
        image.ask(
            "SELECT name, path, action, enabled, state, hidden, last_run_time, last_run_code FROM scheduled_tasks"
        ),
        [format!(r"Update|\Vendor\Update|C:\ C:\u.exe /a|1|unknown|1|{WRITTEN_UNIX}|5")]
    );
    assert_eq!(
        image.ask("SELECT name, source FROM autoexec ORDER BY name"),
        [
            "Agent|startup_items",
            "Once|startup_items",
            "Spooler|services",
            "Update|scheduled_tasks",
            "disk|drivers",
            "filter|drivers",
            "x.lnk|startup_items",
        ]
    );
}

#[test]
fn programs_updates_and_the_version_are_known() {
    let image = image();
    assert_eq!(
        image.ask("SELECT name, version, publisher, identifying_number, upgrade_code FROM programs"),
        ["A program|1.2|Maker|{016BACC2-4BD7-4137-BA71-756536C0DC40}|{11111111-1111-1111-1111-111111111111}"]
    );
    assert_eq!(image.ask("SELECT csname, hotfix_id, installed_on FROM patches"), ["PC|KB5007186|1/1/2021"]);
    assert_eq!(
        image.ask("SELECT name, version, major, build, platform, arch FROM os_version"),
        ["Microsoft Windows 11 Pro|10.0.22631|10|22631|windows|64-bit"]
    );
}

#[test]
fn accounts_and_groups_come_from_the_sam() {
    let image = image();
    assert_eq!(
        image.ask("SELECT username, uid, gid, description, directory, uuid FROM users ORDER BY uid"),
        [
            r"SYSTEM|18|18||C:\WINDOWS\system32\config\systemprofile|S-1-5-18".to_owned(),
            format!(r"bob|1001|513|Works here|C:\Users\Bob|{BOB}"),
        ]
    );
    assert_eq!(image.ask("SELECT groupname, gid FROM groups"), ["Administrators|544"]);
    assert_eq!(image.ask("SELECT uid, gid FROM user_groups"), ["1001|544"]);
}

#[test]
fn the_boot_configuration_has_bcdedits_names() {
    assert_eq!(
        image().ask("SELECT store, object_name, object_type, name, format, value FROM bcd ORDER BY name"),
        [
            "/boot/bcd|{bootmgr}|boot manager|displayorder|object_list|{a},{b}",
            "/boot/bcd|{bootmgr}|boot manager|testsigning|boolean|1",
            "/boot/bcd|{bootmgr}|boot manager|timeout|integer|30",
        ]
    );
}

#[test]
fn what_was_run_and_what_is_open_are_listed() {
    let image = image();
    assert_eq!(
        image.ask("SELECT path, last_execution_time, count, sid FROM userassist ORDER BY path"),
        [format!(r"C:\Windows\notepad.exe|{WRITTEN_UNIX}|3|{BOB}"), format!("UEME_CTLSESSION|||{BOB}")]
    );
    assert_eq!(
        image.ask("SELECT entry, path, modified_time, execution_flag FROM shimcache"),
        [format!(r"1|C:\a.x|{WRITTEN_UNIX}|-1")]
    );
    assert_eq!(
        image.ask("SELECT path, last_execution_time, sid FROM background_activities_moderator"),
        [format!(r"\Device\HarddiskVolume1\x.exe|{WRITTEN_UNIX}|{BOB}")]
    );
    assert_eq!(
        image.ask("SELECT name, action, direction, protocol, local_ports, profile_public, profile_domain FROM windows_firewall_rules"),
        ["Remote Desktop|Allow|In|TCP|3389|1|0"]
    );
    assert_eq!(image.ask("SELECT name, path, type_name FROM shared_resources"), [r"Data|C:\Data|Disk Drive"]);
    assert_eq!(
        image.ask("SELECT variable, expand FROM default_environment ORDER BY variable"),
        ["PROCESSOR_ARCHITECTURE|0", "Path|1"]
    );
}

#[test]
fn a_hive_that_was_not_closed_is_read_with_a_warning() {
    let mut bytes = system().hive();
    bytes[4] = 9;
    let image = image().with("WINDOWS/system32/Config/SYSTEM", bytes);
    let output = image.output("SELECT name FROM services WHERE name = 'Spooler'");
    assert_eq!(output.rows.len(), 1);
    assert_eq!(output.warnings.len(), 1);
    assert!(output.warnings[0].message.contains("transaction log"), "{:?}", output.warnings);
    let image = image.with("WINDOWS/system32/Config/SYSTEM", "no hive");
    let output = image.output("SELECT name FROM services");
    assert!(output.rows.is_empty());
    assert_eq!(output.warnings.len(), 1, "{:?}", output.warnings);
}

#[test]
fn a_profile_on_another_drive_is_named() {
    let profiles = r"Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-21-9-9-9-1002";
    let elsewhere = software().at(profiles, key("").value("ProfileImagePath", 2, wide(r"D:\Users\Eve")));
    let image = image().with("WINDOWS/system32/Config/software", elsewhere.hive());
    let output = image.output("SELECT name FROM startup_items");
    assert_eq!(output.rows.len(), 4);
    assert!(output.warnings[0].message.contains(r"D:\Users\Eve"), "{:?}", output.warnings);
}

#[test]
fn a_link_in_a_profile_is_not_followed() {
    let image = image();
    std::fs::remove_file(image.path("Users/bob/ntuser.dat")).unwrap();
    std::os::unix::fs::symlink("/WINDOWS/system32/Config/SAM", image.path("Users/bob/NTUSER.DAT")).unwrap();
    let output = image.output(r"SELECT * FROM registry WHERE key LIKE 'HKEY_USERS\%\SAM'");
    assert!(output.rows.is_empty());
}

#[test]
fn only_a_windows_below_the_root_is_one() {
    let image = image();
    assert_eq!(Host::image(image.folder.path()).os(), Os::Windows);
    assert_eq!(Host::running().os(), Os::Linux);
    let linux = Image::new().with("etc/os-release", "ID=debian\n").with("windows/x", "");
    assert_eq!(Host::image(linux.folder.path()).os(), Os::Linux);
    for table in ["registry", "services", "programs", "scheduled_tasks", "bcd", "autoexec"] {
        assert!(linux.ask(&format!("SELECT * FROM {table}")).is_empty(), "{table}");
    }
}

#[test]
fn what_an_analyst_asks_of_a_windows_disk_is_answered() {
    let image = image();
    let mut name = "";
    let mut asked = 0;
    for line in include_str!("windows.sql").lines() {
        if let Some(comment) = line.strip_prefix("-- ") {
            name = comment;
            continue;
        }
        assert!(!image.ask(line).is_empty(), "{name} has no answer");
        asked += 1;
    }
    assert!(asked > 20);
}
