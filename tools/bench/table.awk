# table.awk: from records (lib.sh) to a table on standard output and, with -v json=FILE, to JSON. -v bars=FILE has what is to be reached.
# A ratio is that of the medians, turned so that more than 1 is better for ours.

function glob(pattern) {
    gsub(/[.+(){}|^$\\]/, "\\\\&", pattern)
    gsub(/\*/, ".*", pattern)
    return "^" pattern "$"
}
function sort_values(list, v,    n, i, j, t) {
    n = split(list, v, " ")
    for (i = 1; i <= n; i++) v[i] += 0
    for (i = 2; i <= n; i++) { t = v[i]; for (j = i - 1; j > 0 && v[j] > t; j--) v[j + 1] = v[j]; v[j + 1] = t }
    return n
}
# Linear between neighbours, as usual.
function quantile(v, n, q,    at, low) {
    at = 1 + (n - 1) * q
    low = int(at)
    return low >= n ? v[n] : v[low] + (at - low) * (v[low + 1] - v[low])
}
function number(x) { return x == 0 ? "0" : x >= 1000 ? sprintf("%.0f", x) : x >= 100 ? sprintf("%.1f", x) : x >= 1 ? sprintf("%.2f", x) : sprintf("%.4g", x) }
function text(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
function rest(from,    s, i) { s = $from; for (i = from + 1; i <= NF; i++) s = s " " $i; return s }
# The bar of a row against a peer: PyTorch 1 has the first column of the file, a newer one the second, what is no PyTorch the third.
function bar_of(row, peer,    i) {
    for (i = 1; i <= bar_count; i++)
        if (row ~ bar_pattern[i])
            return peer ~ /^torch-1\./ ? bar_old[i] : peer ~ /^torch-/ ? bar_new[i] : bar_other[i]
    return "-"
}
function ratio_of(row, side,    a, b) {
    if (!((row, "ours") in median) || !((row, side) in median)) return 0
    a = median[row, "ours"]; b = median[row, side]
    if (!a || !b) return 0
    return unit[row] ~ /\/(core-)?s$/ ? a / b : b / a
}
function side_json(row, side,    s, i, n, v) {
    n = sort_values(values[row, side], v)
    s = "{\"side\":" text(side) ",\"median\":" quantile(v, n, 0.5) ",\"least\":" v[1] ",\"most\":" v[n]
    s = s ",\"quartiles\":[" quantile(v, n, 0.25) "," quantile(v, n, 0.75) "],\"values\":["
    n = split(values[row, side], v, " ")
    for (i = 1; i <= n; i++) s = s (i > 1 ? "," : "") v[i] + 0
    s = s "]"
    if ((row, side) in details) s = s ",\"detail\":" text(details[row, side])
    return s "}"
}

BEGIN {
    CONVFMT = OFMT = "%.9g"
    while (bars != "" && (getline line < bars) > 0) {
        if (line ~ /^#/ || split(line, f, " ") < 3) continue
        bar_pattern[++bar_count] = glob(f[1]); bar_old[bar_count] = f[2]; bar_new[bar_count] = f[3]; bar_other[bar_count] = f[4] == "" ? "-" : f[4]
    }
}
$1 == "note" { notes[++note_count] = rest(2) }
$1 == "detail" { details[$2, $3] = rest(4) }
$1 == "mark" { marks[$2] = rest(3) }
$1 == "value" && NF == 5 && $5 ~ /^[0-9.]/ {
    if (!($2 in unit)) { rows[++row_count] = $2; unit[$2] = $4 }
    if (!($3 in side_seen)) { side_seen[$3] = 1; if ($3 != "ours") peers[++peer_count] = $3 }
    values[$2, $3] = values[$2, $3] " " $5
}
END {
    width = 10
    for (r = 1; r <= row_count; r++) if (length(rows[r]) > width) width = length(rows[r])
    for (r = 1; r <= row_count; r++) {
        for (p = 0; p <= peer_count; p++) {
            side = p ? peers[p] : "ours"
            n = sort_values(values[rows[r], side], v)
            if (n) { median[rows[r], side] = quantile(v, n, 0.5); spread[rows[r], side] = "[" number(v[1]) ".." number(v[n]) "]" }
        }
    }
    printf "%-" width "s %14s %8s %-17s", bench, "unit", "ours", ""
    for (p = 1; p <= peer_count; p++) printf " | %10s %-17s %6s %5s", peers[p], "", "ratio", "bar"
    print ""
    for (r = 1; r <= row_count; r++) {
        row = rows[r]
        printf "%-" width "s %14s %8s %-17s", row, unit[row], ((row, "ours") in median ? number(median[row, "ours"]) : "-"), spread[row, "ours"]
        for (p = 1; p <= peer_count; p++) {
            ratio = ratio_of(row, peers[p]); bar = bar_of(row, peers[p])
            printf " | %10s %-17s %6s %5s", ((row, peers[p]) in median ? number(median[row, peers[p]]) : "-"), spread[row, peers[p]],
                (ratio ? sprintf("%.2f", ratio) : "-"), bar
            if (ratio && bar != "-") { judged++; if (ratio >= bar) { met++; printf " met" } else printf " NOT" } else printf "    "
        }
        print (rows[r] in marks ? "  " marks[rows[r]] : "")
    }
    for (r = 1; r <= row_count; r++)
        for (p = 0; p <= peer_count; p++) {
            side = p ? peers[p] : "ours"
            if ((rows[r], side) in details && !((side, details[rows[r], side]) in said)) {
                said[side, details[rows[r], side]] = 1
                if (p) printf "%s on %s: %s\n", side, rows[r], details[rows[r], side]
                else print side ": " details[rows[r], side]
            }
        }
    for (i = 1; i <= note_count; i++) print notes[i]
    if (judged) print met + 0 " of " judged " bars met"
    if (json == "") exit
    printf "{\"benchmark\":%s,\n \"notes\":[", text(bench) >json
    for (i = 1; i <= note_count; i++) printf "%s%s", (i > 1 ? "," : ""), text(notes[i]) >json
    printf "],\n \"rows\":[" >json
    for (r = 1; r <= row_count; r++) {
        row = rows[r]
        printf "%s\n  {\"row\":%s,\"unit\":%s,\"sides\":[", (r > 1 ? "," : ""), text(row), text(unit[row]) >json
        first = 1
        for (p = 0; p <= peer_count; p++) {
            side = p ? peers[p] : "ours"
            if (!((row, side) in median)) continue
            printf "%s\n    %s", (first ? "" : ","), side_json(row, side) >json
            first = 0
        }
        printf "],\n   \"ratios\":[" >json
        first = 1
        for (p = 1; p <= peer_count; p++) {
            ratio = ratio_of(row, peers[p]); bar = bar_of(row, peers[p])
            if (!ratio) continue
            printf "%s{\"peer\":%s,\"ratio\":%.4f%s}", (first ? "" : ","), text(peers[p]), ratio,
                (bar == "-" ? "" : ",\"bar\":" bar ",\"met\":" (ratio >= bar ? "true" : "false")) >json
            first = 0
        }
        printf "]%s}", (row in marks ? ",\"mark\":" text(marks[row]) : "") >json
    }
    print "]}" >json
}
