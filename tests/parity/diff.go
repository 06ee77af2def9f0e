package parity

import (
	"fmt"
	"strings"
)

// maxDiffLines bounds what one failing script prints.
const maxDiffLines = 120

// diffContext is how many equal lines are shown around a difference.
const diffContext = 6

// unifiedDiff returns "" for equal texts, else their lines with -, + and a little
// context, beginning with the first difference.
func unifiedDiff(a, b string) string {
	if a == b {
		return ""
	}
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	start := commonPrefix(left, right)
	end := commonSuffix(left[start:], right[start:])
	marked := markLines(left[start:len(left)-end], right[start:len(right)-end])

	var lines []string
	for _, line := range left[max(0, start-diffContext):start] {
		lines = append(lines, " "+line)
	}
	lines = append(lines, foldEqual(marked)...)
	for _, line := range left[len(left)-end : min(len(left), len(left)-end+diffContext)] {
		lines = append(lines, " "+line)
	}
	if len(lines) > maxDiffLines {
		hidden := len(lines) - maxDiffLines
		lines = append(lines[:maxDiffLines], fmt.Sprintf("(%d more lines)", hidden))
	}
	return fmt.Sprintf("@@ line %d @@\n%s\n", start+1, strings.Join(lines, "\n"))
}

func commonPrefix(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func commonSuffix(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// markLines aligns both by their longest common subsequence. Long transcripts are
// cut: the first differences tell the story.
func markLines(a, b []string) []string {
	a, b = a[:min(len(a), 2000)], b[:min(len(b), 2000)]
	lengths := commonLengths(a, b)
	var lines []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || (i < len(a) && lengths[i+1][j] >= lengths[i][j+1]):
			lines = append(lines, "-"+a[i])
			i++
		default:
			lines = append(lines, "+"+b[j])
			j++
		}
	}
	return lines
}

// commonLengths[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
func commonLengths(a, b []string) [][]int32 {
	lengths := make([][]int32, len(a)+1)
	for i := range lengths {
		lengths[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				lengths[i][j] = lengths[i+1][j+1] + 1
			} else {
				lengths[i][j] = max(lengths[i+1][j], lengths[i][j+1])
			}
		}
	}
	return lengths
}

// foldEqual shortens long runs of equal lines.
func foldEqual(lines []string) []string {
	var folded []string
	for i := 0; i < len(lines); {
		run := i
		for run < len(lines) && lines[run][0] == ' ' {
			run++
		}
		if run-i > 2*diffContext {
			folded = append(folded, lines[i:i+diffContext]...)
			folded = append(folded, fmt.Sprintf("(%d equal lines)", run-i-2*diffContext))
			i = run - diffContext
		}
		folded = append(folded, lines[i:run]...)
		if run < len(lines) {
			folded = append(folded, lines[run])
		}
		i = run + 1
	}
	return folded
}
