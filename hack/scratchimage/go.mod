module tenantra.io/hack/scratchimage

go 1.26
