# Queries per second against recall, a curve per system and label:
#	gnuplot -e "csv='x.csv'; png='x.png'; name='x'" plot.gp

# A curve is named "system/label"; the label may be empty.
curves = system("awk -F, 'NR > 1 && !seen[$6 \"/\" $7]++ { print $6 \"/\" $7 }' '" . csv . "'")
rows_of(curve) = "< awk -F, -v curve='" . curve . "' '$6 \"/\" $7 == curve' '" . csv . "'"
last(curve) = strlen(curve)
legend(curve) = curve[last(curve):] eq "/" ? curve[1:last(curve) - 1] : curve
k = system("awk -F, 'NR == 2 { print $5 }' '" . csv . "'")

set terminal pngcairo noenhanced size 900, 600
set output png
set datafile separator ","
set title name
set xlabel "recall@" . k
set ylabel "queries per second"
set logscale y
set grid
set key bottom left
plot for [curve in curves] rows_of(curve) using 15:16 \
	with linespoints title legend(curve)
