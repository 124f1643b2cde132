// SPDX-License-Identifier: MIT

package consistenthash

// golden is what version 1 of the placement gives TestGolden.
const golden = "cbbcbaaabaaaabbacbbbbabc 306a99a23aa071dc"
