//go:build !purego

// SPDX-License-Identifier: MIT

package bloom

import "encoding/binary"

// viewsShare says whether views of aligned bytes share them.
var viewsShare = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
