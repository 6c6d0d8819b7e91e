-- Questions to a Windows disk, each under its name. The test `windows.rs` asks them of an image that it makes, `queries.rs` of hosts.
-- windows_programs_that_start_with_a_session
SELECT key, name, data FROM registry WHERE key LIKE 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run%' AND type IN ('REG_SZ', 'REG_EXPAND_SZ') AND name <> '(Default)';
-- windows_programs_that_start_with_any_users_session
SELECT split(key, '\', 1) AS sid, name, data FROM registry WHERE key LIKE 'HKEY_USERS\%\Software\Microsoft\Windows\CurrentVersion\Run%' AND type <> 'subkey';
-- windows_version_in_the_registry
SELECT data FROM registry WHERE path = 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProductName';
-- windows_keys_below_a_key
SELECT path, data FROM registry WHERE path LIKE 'HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\TermService\%%';
-- windows_services_with_their_start_in_the_registry
SELECT services.name, services.start_type, registry.data FROM services JOIN registry ON registry.key = 'HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\' || services.name AND registry.name = 'Start' ORDER BY services.name;
-- windows_services_of_the_network
SELECT name, path, user_account FROM services WHERE start_type = 'AUTO_START' OR user_account LIKE '%NetworkService';
-- windows_services_whose_library_is_loaded
SELECT name, module_path FROM services WHERE module_path <> '';
-- windows_drivers_without_a_device
SELECT service, image FROM drivers WHERE device_id IS NULL;
-- windows_drivers_with_a_version
SELECT device_id, version, date FROM drivers WHERE version IS NOT NULL;
-- windows_tasks_that_hide
SELECT path, action FROM scheduled_tasks WHERE hidden = 1 AND enabled = 1;
-- windows_programs_with_a_product_code
SELECT name, version, identifying_number FROM programs WHERE identifying_number LIKE '{%}';
-- windows_updates
SELECT hotfix_id, installed_on FROM patches ORDER BY hotfix_id;
-- windows_boot_loader_that_loads_anything
SELECT object_name, name, value FROM bcd WHERE name IN ('testsigning', 'nointegritychecks') AND value = '1';
-- windows_all_that_starts_by_itself
SELECT source, count(*) AS items FROM autoexec GROUP BY source ORDER BY source;
-- windows_programs_that_people_started
SELECT users.username, userassist.path, userassist.count FROM userassist JOIN users ON users.uuid = userassist.sid WHERE userassist.count > 0;
-- windows_programs_that_were_seen
SELECT entry, path, datetime(modified_time, 'unixepoch') AS modified FROM shimcache ORDER BY entry;
-- windows_programs_that_ran_in_the_background
SELECT path, sid FROM background_activities_moderator WHERE last_execution_time > 0;
-- windows_ports_that_are_open_to_public_networks
SELECT name, protocol, local_ports FROM windows_firewall_rules WHERE enabled = 1 AND action = 'Allow' AND direction = 'In' AND profile_public = 1;
-- windows_folders_that_are_shared
SELECT name, path FROM shared_resources WHERE type = 0;
-- windows_variables_that_are_expanded
SELECT variable, value FROM default_environment WHERE expand = 1;
-- windows_programs_with_foreign_fixes
SELECT executable, path, description FROM appcompat_shims;
-- windows_administrators
SELECT users.username FROM user_groups JOIN groups USING (gid) JOIN users USING (uid) WHERE groups.group_sid = 'S-1-5-32-544';
-- windows_startup_items_that_are_switched_off
SELECT name, path, source FROM startup_items WHERE status = 'disabled' AND source LIKE 'HKEY%';
