# What the routings cost against recall: without codes the distances computed,
# with codes the pages read.
#	gnuplot -e "csv='x.csv'; png='x.png'; name='x'" routing.gp

graphs = "nsg nssg hnsw"
systems = "togg:routing=greedy togg:routing=guided togg:stage1_width=0 togg"
titles = "greedy guided published two-stage"
rows_of(graph, guide, codes, s) = "< awk -F, -v l='" . graph . "+" . guide . "+" . codes . \
	"' -v s='" . s . "' '$7 == l && $6 == s { print 1 - $15 + 0.0001, $26, $25 }' '" . csv . "'"

set terminal pngcairo noenhanced size 1350, 800
set output png
set multiplot layout 2, 3 title name
set logscale xy
set xrange [0.2:0.0005] reverse
set xlabel "share of the 10 nearest missed"
set grid
set key top left
do for [graph in graphs] {
	set title graph . ", plain, guide k-means"
	set ylabel "exact distances"
	plot for [i = 1:4] rows_of(graph, "kmeans", "plain", word(systems, i)) \
		using 1:2 with linespoints title word(titles, i)
}
do for [graph in graphs] {
	set title graph . ", codes, guide k-means"
	set ylabel "pages"
	plot for [i = 1:4] rows_of(graph, "kmeans", "codes", word(systems, i)) \
		using 1:3 with linespoints title word(titles, i)
}
unset multiplot
