// SPDX-License-Identifier: MIT

package quorum

import (
	"fmt"
	"slices"
)

// nameOf returns the name of value i of an enumeration, whatever i is.
func nameOf(names []string, i uint8, kind string) string {
	if int(i) >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, i)
	}
	return names[i]
}

// marshalName returns the name of value i of an enumeration.
func marshalName(names []string, i uint8, kind string) ([]byte, error) {
	if int(i) >= len(names) {
		return nil, fmt.Errorf("quorum: unknown %s %d", kind, i)
	}
	return []byte(names[i]), nil
}

// unmarshalName returns the value of an enumeration that text names.
func unmarshalName(names []string, text []byte, kind string) (uint8, error) {
	i := slices.Index(names, string(text))
	if i < 0 {
		return 0, fmt.Errorf("quorum: unknown %s %q", kind, text)
	}
	return uint8(i), nil
}
