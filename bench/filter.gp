# Queries per second against the share of rows that passes a filter, a curve per
# system and a panel per kind of filter; where recall is below 0.95, or LIMIT was
# not filled, the point is a cross:
#	gnuplot -e "csv='x-filter.csv'; png='x-filter.png'; name='x'" filter.gp

systems = "togg strict relaxed partial btree"
titles = "togg 'pgvector, strict' 'pgvector, relaxed' 'pgvector, partial indexes' 'btree and sort'"
rows_of(filter, system, good) = "< awk -F, '$3 == \"" . filter . "\" && $5 == \"" . system . "\"" . \
	(good == 2 ? "" : good ? " && $6 >= .95 && $7 == 1" : " && !($6 >= .95 && $7 == 1)") . "' '" . csv . "'"

set terminal pngcairo noenhanced size 1200, 500
set output png
set datafile separator ","
set multiplot layout 1, 3 title name
set xlabel "% of the rows that pass"
set ylabel "queries per second"
set logscale xy
set xrange [100:0.005]
set grid
set key bottom right
do for [filter in "chance nearest farthest"] {
	set title filter
	plot for [i = 1:words(systems)] rows_of(filter, word(systems, i), 2) \
			using ($4 * 100):9 with lines linecolor i title word(titles, i), \
		for [i = 1:words(systems)] rows_of(filter, word(systems, i), 1) \
			using ($4 * 100):9 with points linecolor i pointtype 7 notitle, \
		for [i = 1:words(systems)] rows_of(filter, word(systems, i), 0) \
			using ($4 * 100):9 with points linecolor i pointtype 2 notitle
	unset key
}
unset multiplot
