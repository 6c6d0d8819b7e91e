package slot

import (
	"encoding/json"
	"errors"
	"os"
)

// Records reads the records of all runs, live and crashed.
func Records(folder string) ([]Record, error) {
	var records []Record
	for number := range Count {
		text, err := os.ReadFile(recordPath(folder, number))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Save replaces records whole: one that does not parse was damaged from outside, and says nothing.
		record := Record{}
		if err := json.Unmarshal(text, &record); err != nil {
			return nil, errors.Join(errors.New(recordPath(folder, number)+" is damaged; delete it"), err)
		}
		records = append(records, record)
	}
	return records, nil
}

// Find returns the record of the run in a folder, or nil.
func Find(folder, dir string) (*Record, error) {
	records, err := Records(folder)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if record.Dir == dir {
			return &record, nil
		}
	}
	return nil, nil
}

// Seize takes over a run whose process is gone. It returns nil when the run is alive, or when somebody else cleaned
// it up in the meantime.
func Seize(folder string, record Record) (*Slot, error) {
	slot, err := lock(folder, record.Number)
	if slot == nil || err != nil {
		return nil, err
	}
	if _, err := os.Stat(slot.recordPath()); err != nil {
		slot.unlock()
		return nil, nil
	}
	return slot, nil
}
