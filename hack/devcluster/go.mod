module tenantra.io/hack/devcluster

go 1.26.0
