# Queries per second against the number of clients, a curve per system, label
# and recall:
#	gnuplot -e "csv='x-clients.csv'; png='x-clients.png'; name='x'" clients.gp

# A curve is named "system/label/recall"; the label may be empty.
curves = system("awk -F, 'NR > 1 && !seen[$6 \"/\" $7 \"/\" $8]++ { print $6 \"/\" $7 \"/\" $8 }' '" . csv . "'")
rows_of(curve) = "< awk -F, -v curve='" . curve . "' '$6 \"/\" $7 \"/\" $8 == curve' '" . csv . "'"
legend(curve) = system("echo '" . curve . "' | sed 's,//*, ,g'")

set terminal pngcairo noenhanced size 900, 600
set output png
set datafile separator ","
set title name
set xlabel "clients"
set ylabel "queries per second"
set logscale x 2
set logscale y
set grid
set key top left
plot for [curve in curves] rows_of(curve) using 11:12 \
	with linespoints title legend(curve)
