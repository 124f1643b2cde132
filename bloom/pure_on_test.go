//go:build purego

// SPDX-License-Identifier: MIT

package bloom

// viewsShare says whether views of aligned bytes share them.
const viewsShare = false
