package slot

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTwoRunsGetTwoNumbersAndDifferentPorts(t *testing.T) {
	folder := t.TempDir()
	first, second := take(t, folder), take(t, folder)
	if first.Number == second.Number {
		t.Fatalf("both got number %d", first.Number)
	}
	ports := map[int]bool{}
	for _, slot := range []*Slot{first, second} {
		for range 20 {
			port, err := slot.Port()
			if err != nil {
				t.Fatal(err)
			}
			if ports[port] || port >= 30000 {
				t.Fatalf("port %d was given twice or is a node port", port)
			}
			ports[port] = true
		}
	}
}

func TestAReleasedNumberIsGivenAgain(t *testing.T) {
	folder := t.TempDir()
	first := take(t, folder)
	if err := first.Save(Record{Number: first.Number, Dir: "/a"}); err != nil {
		t.Fatal(err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if again := take(t, folder); again.Number != first.Number {
		t.Fatalf("got %d, want %d", again.Number, first.Number)
	}
}

func TestACrashedRunKeepsItsNumberUntilItIsSeized(t *testing.T) {
	folder := t.TempDir()
	crashed := take(t, folder)
	record := Record{Number: crashed.Number, Dir: "/crashed"}
	if err := crashed.Save(record); err != nil {
		t.Fatal(err)
	}
	if slot, err := Seize(folder, record); slot != nil || err != nil {
		t.Fatalf("a live run was seized (%v)", err)
	}
	crashed.unlock()

	if next := take(t, folder); next.Number == crashed.Number {
		t.Fatal("the number of a crashed run was given away with what it left behind")
	}
	seized, err := Seize(folder, record)
	if err != nil || seized == nil {
		t.Fatalf("a crashed run was not seized (%v)", err)
	}
	if err := seized.Release(); err != nil {
		t.Fatal(err)
	}
	if slot, err := Seize(folder, record); slot != nil || err != nil {
		t.Fatalf("a run was cleaned up twice (%v)", err)
	}
}

func TestARecordIsFoundByItsFolder(t *testing.T) {
	folder := t.TempDir()
	slot := take(t, folder)
	want := Record{Number: slot.Number, Dir: "/run/a", Address: slot.Address(), Processes: []Process{{"etcd", 7, 8}}}
	if err := slot.Save(want); err != nil {
		t.Fatal(err)
	}
	found, err := Find(folder, "/run/a")
	if err != nil || found == nil || found.Processes[0] != want.Processes[0] || found.Address != want.Address {
		t.Fatalf("found %+v (%v)", found, err)
	}
	if other, err := Find(folder, "/run/b"); other != nil || err != nil {
		t.Fatalf("found %+v (%v)", other, err)
	}
}

func TestADamagedRecordIsNamed(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(recordPath(folder, 3), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Records(folder); err == nil || !strings.Contains(err.Error(), "3.json") {
		t.Fatalf("got %v", err)
	}
}

func TestTheSecondNodeWaitsBoundedAndNamesTheHolder(t *testing.T) {
	folder := t.TempDir()
	lock, _, err := TryNode(folder, "run in /a")
	if err != nil || lock == nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	told := ""
	_, err = TakeNode(ctx, folder, "run in /b", func(heldBy string) { told = heldBy })
	if err == nil || !strings.Contains(err.Error(), "run in /a") || told != "run in /a" {
		t.Fatalf("error %v, told %q", err, told)
	}
	lock.Release()
	if next, _, err := TryNode(folder, "run in /b"); next == nil || err != nil {
		t.Fatalf("a released node was not given (%v)", err)
	}
}

func take(t *testing.T, folder string) *Slot {
	t.Helper()
	slot, err := Take(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slot.unlock)
	return slot
}
