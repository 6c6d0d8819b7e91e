# What the operator may do in OpenBao or Vault: make and remove what belongs to tenants, and read no secret of theirs.

# Whether the engines are there.
path "sys/mounts" {
  capabilities = ["read"]
}

path "sys/auth" {
  capabilities = ["read"]
}

# Marks whose tenant a path is, by metadata; the values below it stay unreadable.
path "secret/metadata/tenants/*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list"]
}

path "sys/policies/acl/tenant_*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "auth/kubernetes/role/tenant-*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "auth/token/roles/tenant_*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "transit/keys/tenant-*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "transit/keys/audit-*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Checkpoints of audit logs are signed with it; the key itself cannot be read.
path "transit/sign/audit-*" {
  capabilities = ["update"]
}

path "pki/roles/tenant-*" {
  capabilities = ["create", "read", "update", "delete"]
}
