/*-------------------------------------------------------------------------
 *
 * test_code.c
 *	  Rotation, codes and score tables against the promises of rotate.h and
 *	  rabitq.h.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "code/rabitq.h"
#include "code/rotate.h"
#include "sample.h"
#include "tap.h"

static const int sizes[] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127,
	128, 784, 1000, 1536, 16000
};

/* Memory of exactly the promised sizes, so that ASan sees what goes beyond. */
static TgRotation
rotation_create(int dims, uint64 seed)
{
	TgRotation	rotation;

	tg_rotation_init(&rotation, dims, seed,
					 malloc(tg_rotation_signs_size(dims)));
	return rotation;
}

static TgScoreTable
table_create(int dims, int bits, const float *query)
{
	TgScoreTable table;

	table.entries = malloc(TG_TABLE_SIZE(dims));
	memset(table.entries, 0xA5, TG_TABLE_SIZE(dims));
	tg_table_build(&table, dims, bits, query);
	return table;
}

/* The coordinate that a level stands for. */
static double
level_value(int bits, uint8 level)
{
	return bits == 1 ? 2.0 * level - 1.0 : level - 1.5;
}

static double
dot_levels(const float *vector, const uint8 *levels, int dims, int bits)
{
	double		sum = 0.0;

	for (int i = 0; i < dims; i++)
		sum += vector[i] * level_value(bits, levels[i]);
	return sum;
}

/* ---- rotation ---- */

static bool
rotation_keeps_products(int dims, uint64 seed)
{
	TgRotation	rotation = rotation_create(dims, seed);
	float	   *x = sample_vectors(1, dims);
	float	   *y = sample_vectors(1, dims);
	float	   *px = malloc(sizeof(float) * dims);
	float	   *py = malloc(sizeof(float) * dims);
	double		xx = reference_dot(x, x, dims);
	double		yy = reference_dot(y, y, dims);
	double		bound = 1e-6 * sqrt(xx * yy);
	bool		good;

	tg_rotate(&rotation, x, px);
	tg_rotate(&rotation, y, py);
	good = fabs(reference_dot(px, px, dims) - xx) <= 1e-6 * xx &&
		fabs(reference_dot(px, py, dims) - reference_dot(x, y, dims)) <= bound;
	free(x);
	free(y);
	free(px);
	free(py);
	free(rotation.signs);
	return good;
}

/*
 * How evenly do the rotations of one-hot vectors spread?  The largest
 * coordinate times sqrt(dims), and the least |x|_1 / sqrt(dims).
 */
static void
one_hot_spread(int dims, float *largest, float *least)
{
	float	   *x = calloc(dims, sizeof(float));
	float	   *px = malloc(sizeof(float) * dims);

	*largest = 0.0f;
	*least = INFINITY;
	for (int seed = 0; seed < 4; seed++)
	{
		TgRotation	rotation = rotation_create(dims, seed);

		for (int at = 0; at < dims; at += 1 + (dims - 1) / 8)
		{
			float		sum = 0.0f;

			x[at] = 1.0f;
			tg_rotate(&rotation, x, px);
			x[at] = 0.0f;
			for (int i = 0; i < dims; i++)
			{
				sum += fabsf(px[i]);
				*largest = Max(*largest, fabsf(px[i]) * sqrtf(dims));
			}
			*least = Min(*least, sum / sqrtf(dims));
		}
		free(rotation.signs);
	}
	free(x);
	free(px);
}

/*
 * Is the rotation of 1, 2, 3, ... with seed 42 this one, worked out from the
 * definition?
 */
static bool
rotation_is(int dims, const float *expected)
{
	/* The generator's, however the rounds divide them. */
	static const char signs[] = "10000101010011100001101100111111";
	TgRotation	rotation = rotation_create(dims, 42);
	float		in[8];
	float		out[8];
	bool		good = true;

	for (int i = 0; i < dims * TG_ROTATION_ROUNDS; i++)
		good &= rotation.signs[i] == (uint32) (signs[i] - '0') << 31;
	for (int i = 0; i < dims; i++)
		in[i] = i + 1;
	tg_rotate(&rotation, in, out);
	for (int i = 0; i < dims; i++)
		good &= fabsf(out[i] - expected[i]) < 1e-5f;
	free(rotation.signs);
	return good;
}

static void
test_rotation(void)
{
	/* One window covers all. */
	static const float of_8[] = {
		5.0f, 1.0f, 4.0f, -2.0f, -2.0f, -8.0f, 3.0f, 9.0f
	};

	/* Windows of 4, and the halves mixed once, after the second round. */
	static const float of_5[] = {
		0.25f, 0.22855339f, 4.3676407f, -5.8854076f, 1.0821068f
	};
	const float in[] = {1, 2, 3, 4, 5, 6, 7, 8};
	float		out[8];
	float		again[8];
	TgRotation	rotation = rotation_create(8, 42);
	TgRotation	same = rotation_create(8, 42);
	TgRotation	other = rotation_create(8, 43);
	bool		good;

	ok(rotation_is(8, of_8), "the rotation of 8 dimensions is the format's");
	ok(rotation_is(5, of_5), "the rotation of 5 dimensions is the format's");
	tg_rotate(&rotation, in, out);
	tg_rotate(&same, in, again);
	ok(memcmp(out, again, sizeof(out)) == 0, "same seed, same rotation");
	ok(memcmp(rotation.signs, other.signs, tg_rotation_signs_size(8)) != 0,
	   "another seed, another rotation");
	free(rotation.signs);
	free(same.signs);
	free(other.signs);

	for (int i = 0; i < (int) lengthof(sizes); i++)
	{
		good = true;
		for (int seed = 0; seed < 8; seed++)
			good &= rotation_keeps_products(sizes[i], seed);
		ok(good, "rotation of %d dimensions keeps norms and inner products",
		   sizes[i]);
	}
	for (int i = 0; i < (int) lengthof(sizes); i++)
	{
		float		largest;
		float		least;

		if (sizes[i] < 63)
			continue;
		one_hot_spread(sizes[i], &largest, &least);
		if (!ok(largest < 6.5f && least > 0.6f,
				"rotation of %d dimensions spreads a one-hot vector", sizes[i]))
			diag("largest coordinate %g, sum %g", largest, least);
	}
}

/* ---- where codes lie ---- */

/* Bit of a dimension's level as kernel.h lays codes out. */
static int
code_bit(const uint8 *codes, int dims, int plane, int lane, int i)
{
	const uint8 *group = codes +
		((Size) plane * TG_GROUPS(dims) + i / 4) * TG_GROUP_BYTES;

	return group[lane % 16] >> (lane < 16 ? 0 : 4) >> i % 4 & 1;
}

static bool
lanes_round_trip(int dims, int bits)
{
	Size		size = TG_CODES_SIZE(dims, bits);
	uint8	   *codes = malloc(size);
	uint8	   *levels = malloc((Size) TG_BLOCK_LANES * dims);
	uint8	   *got = malloc(dims);
	bool		good = true;

	for (Size i = 0; i < size; i++)
		codes[i] = (uint8) sample_bits();
	for (int i = 0; i < TG_BLOCK_LANES * dims; i++)
		levels[i] = sample_bits() & ((1 << bits) - 1);
	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
		tg_codes_set_lane(codes, dims, bits, lane, levels + lane * dims);

	/* Over what was there: one lane changes, the others stay. */
	for (int i = 0; i < dims; i++)
		levels[21 * dims + i] = sample_bits() & ((1 << bits) - 1);
	tg_codes_set_lane(codes, dims, bits, 21, levels + 21 * dims);

	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
	{
		const uint8 *expected = levels + lane * dims;

		memset(got, 0xFF, dims);
		tg_codes_get_lane(codes, dims, bits, lane, got);
		good &= memcmp(got, expected, dims) == 0;
		for (int plane = 0; plane < bits; plane++)
			for (int i = 0; i < dims; i++)
				good &= code_bit(codes, dims, plane, lane, i) ==
					(expected[i] >> plane & 1);
	}
	free(codes);
	free(levels);
	free(got);
	return good;
}

/* ---- factors ---- */

/*
 * The estimate is exact where the query is p or o itself; that holds for the
 * factors of any code, so it says nothing about the code's quality.
 */
static bool
factors_exact_at_ends(int dims, int bits)
{
	float	   *w = sample_vectors(1, dims);
	float	   *centre = sample_vectors(1, dims);
	uint8	   *levels = malloc(dims);
	double		n2 = reference_dot(w, w, dims);
	float		a;
	float		f;
	double		at_p;
	double		at_o;
	double		magnitude;
	bool		good;

	tg_encode(dims, bits, w, centre, levels, &a, &f);
	at_p = a + f * dot_levels(centre, levels, dims, bits);
	at_o = at_p + n2 + f * dot_levels(w, levels, dims, bits);
	magnitude = n2 + fabs(a) + fabs(f) * dims;
	good = fabs(at_p - n2) < 1e-5 * magnitude && fabs(at_o) < 1e-5 * magnitude;
	free(w);
	free(centre);
	free(levels);
	return good;
}

/* Cosine of a residual and its code. */
static double
code_cosine(const float *w, const uint8 *levels, int dims, int bits)
{
	double		xx = 0.0;

	for (int i = 0; i < dims; i++)
		xx += level_value(bits, levels[i]) * level_value(bits, levels[i]);
	return dot_levels(w, levels, dims, bits) /
		sqrt(xx * reference_dot(w, w, dims));
}

/* Largest cosine of any two-bit code: thresholds between all magnitudes. */
static double
best_cosine(const float *w, int dims)
{
	uint8	   *levels = malloc(dims);
	double		best = 0.0;

	for (int t = 0; t < dims; t++)
	{
		for (int i = 0; i < dims; i++)
		{
			int			outer = fabsf(w[i]) >= fabsf(w[t]);

			levels[i] = w[i] >= 0.0f ? 2 + outer : 1 - outer;
		}
		best = Max(best, code_cosine(w, levels, dims, 2));
	}
	free(levels);
	return best;
}

static void
test_codes(void)
{
	const int	dims = 256;
	float	   *w = sample_vectors(1, dims);
	float	   *centre = sample_vectors(1, dims);
	uint8	   *levels = malloc(dims);
	uint8	   *scaled = malloc(dims);
	float		a;
	float		f;
	float		scaled_f;
	bool		good = true;

	for (int bits = 1; bits <= TG_MAX_BITS; bits++)
		for (int i = 0; i < (int) lengthof(sizes); i++)
		{
			ok(lanes_round_trip(sizes[i], bits),
			   "codes of %d dimensions, %d bits: lanes keep what they are set to",
			   sizes[i], bits);
			ok(factors_exact_at_ends(sizes[i], bits),
			   "factors of %d dimensions, %d bits: exact at both ends",
			   sizes[i], bits);
		}

	for (int i = 0; i < dims; i++)
		centre[i] += 3.0f;
	tg_encode(dims, 1, w, centre, levels, &a, &f);
	for (int i = 0; i < dims; i++)
		good &= levels[i] == (w[i] >= 0.0f);
	ok(good, "one bit is the sign");

	/* Gaussian, flat, and with a few large coordinates: by largest cosine. */
	for (int kind = 0; kind < 3; kind++)
	{
		double		cosine;
		double		best;

		for (int i = 0; i < dims; i++)
		{
			w[i] = sample_gauss();
			if (kind == 1)
				w[i] = (float) sample_bits() * 0x1p-31f - 1.0f;
			if (kind == 2)
				w[i] = powf(w[i], 3.0f);
		}
		tg_encode(dims, 2, w, centre, levels, &a, &f);
		cosine = code_cosine(w, levels, dims, 2);
		best = best_cosine(w, dims);
		if (!ok(cosine > (kind == 2 ? 0.97 : 0.995) * best,
				"two bits come near the largest cosine, data of kind %d", kind))
			diag("cosine %g, largest %g", cosine, best);
	}

	/* Few dimensions stray from the usual: no code that is usual is better. */
	good = true;
	for (int trial = 0; trial < 200; trial++)
	{
		const int	few = 5 + trial % 40;
		float		deviation;
		double		cosine;

		sample_vector(w, few, 1.0f);
		tg_encode(few, 2, w, centre, levels, &a, &f);
		cosine = code_cosine(w, levels, few, 2);
		good &= cosine > 0.9 * best_cosine(w, few);
		deviation = sqrtf((float) (reference_dot(w, w, few) / few));
		for (int i = 0; i < few; i++)
		{
			int			outer = fabsf(w[i]) > 0.98f * deviation;

			levels[i] = w[i] >= 0.0f ? 2 + outer : 1 - outer;
		}
		good &= cosine >= code_cosine(w, levels, few, 2) - 1e-6;
	}
	ok(good, "two bits of few dimensions are better than the usual threshold's");

	for (int i = 0; i < dims; i++)
		w[i] = sample_gauss();
	tg_encode(dims, 2, w, centre, levels, &a, &f);
	for (int i = 0; i < dims; i++)
		w[i] *= 1024.0f;
	tg_encode(dims, 2, w, centre, scaled, &a, &scaled_f);
	ok(memcmp(levels, scaled, dims) == 0 &&
	   fabsf(scaled_f / (1024.0f * f) - 1.0f) < 1e-5f,
	   "a longer residual has the same code");
	free(w);
	free(centre);
	free(levels);
	free(scaled);
}

/* ---- estimates ---- */

typedef enum Data
{
	DATA_DENSE,
	DATA_SPARSE,				/* three coordinates that are not zero */
	DATA_KINDS
} Data;

static const char *const data_names[] = {"dense", "sparse"};

static void
sample_data(float *vector, int dims, Data kind)
{
	if (kind == DATA_DENSE)
		sample_vector(vector, dims, 1.0f);
	else
	{
		memset(vector, 0, sizeof(float) * dims);
		for (int i = 0; i < 3; i++)
			vector[sample_below(dims)] += sample_gauss() + 2.0f;
	}
}

/*
 * Mean and deviation of the estimates' errors, relative to
 * 2 |q - p| |o - p|, over random rotations.  Everything goes the way of a
 * search: 32 neighbours coded around p, a table of q, the scan.
 */
static void
estimate_errors(int dims, int bits, Data kind, double *mean, double *deviation)
{
	const int	rounds = dims > 500 ? 12 : 30;
	float	   *mean_vector = sample_vectors(1, dims);
	float	   *p = malloc(sizeof(float) * dims);
	float	   *q = malloc(sizeof(float) * dims);
	float	   *o = malloc(sizeof(float) * dims * TG_BLOCK_LANES);
	float	   *work = malloc(sizeof(float) * dims);
	float	   *centre = malloc(sizeof(float) * dims);
	float	   *residual = malloc(sizeof(float) * dims);
	uint8	   *levels = malloc(dims);
	uint8	   *codes = malloc(TG_CODES_SIZE(dims, bits));
	double		sum = 0.0;
	double		squares = 0.0;
	int			n = rounds * TG_BLOCK_LANES;

	for (int round = 0; round < rounds; round++)
	{
		TgRotation	rotation = rotation_create(dims, round);
		TgScoreTable table;
		float		a[TG_BLOCK_LANES];
		float		f[TG_BLOCK_LANES];
		float		estimates[TG_BLOCK_LANES];
		double		qp;

		sample_data(p, dims, kind);
		for (int i = 0; i < dims; i++)
		{
			p[i] += mean_vector[i];
			work[i] = p[i] - mean_vector[i];
		}
		tg_rotate(&rotation, work, centre);
		for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
		{
			float	   *vector = o + lane * dims;

			sample_data(vector, dims, kind);
			tg_rotate(&rotation, vector, residual);
			tg_encode(dims, bits, residual, centre, levels, &a[lane], &f[lane]);
			tg_codes_set_lane(codes, dims, bits, lane, levels);
			for (int i = 0; i < dims; i++)
				vector[i] += p[i];
		}

		/* On the way to a neighbour: a shrunken estimate would show. */
		for (int i = 0; i < dims; i++)
			q[i] = o[i] + 0.5f * sample_gauss();
		for (int i = 0; i < dims; i++)
			work[i] = q[i] - mean_vector[i];
		tg_rotate(&rotation, work, residual);
		table = table_create(dims, bits, residual);
		qp = reference_l2sq(q, p, dims);
		tg_kernels->score(&table, codes, a, f, (float) qp, INFINITY, estimates);
		for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
		{
			double		error = estimates[lane] -
				reference_l2sq(q, o + lane * dims, dims);

			error /= 2.0 * sqrt(qp * reference_l2sq(p, o + lane * dims, dims));
			sum += error;
			squares += error * error;
		}
		free(table.entries);
		free(rotation.signs);
	}
	*mean = sum / n;
	*deviation = sqrt(squares / n);
	free(mean_vector);
	free(p);
	free(q);
	free(o);
	free(work);
	free(centre);
	free(residual);
	free(levels);
	free(codes);
}

static void
test_estimates(void)
{
	static const int dims[] = {64, 100, 256, 1024};

	/*
	 * The theory's deviations of the error times sqrt(dims): the tangent of
	 * the angle between a Gaussian vector and its code.  Margins are for the
	 * rounding of the table and for chance.
	 */
	static const double expected[] = {0, 0.755, 0.365};

	for (Data kind = 0; kind < DATA_KINDS; kind++)
		for (int bits = 1; bits <= TG_MAX_BITS; bits++)
			for (int i = 0; i < (int) lengthof(dims); i++)
			{
				double		mean;
				double		deviation;
				double		scaled;
				int			n = (dims[i] > 500 ? 12 : 30) * TG_BLOCK_LANES;

				estimate_errors(dims[i], bits, kind, &mean, &deviation);
				scaled = deviation * sqrt(dims[i]);
				if (!ok(fabs(mean) < 4.0 * deviation / sqrt(n),
						"estimates are unbiased, %s, %d dimensions, %d bits",
						data_names[kind], dims[i], bits))
					diag("mean %g, deviation %g", mean, deviation);
				if (!ok(scaled > 0.7 * expected[bits] &&
						scaled < 1.35 * expected[bits],
						"errors shrink as they should, %s, %d dimensions, %d bits",
						data_names[kind], dims[i], bits))
					diag("deviation * sqrt(dims) %g, expected %g", scaled,
						 expected[bits]);
			}
}

/* ---- what cannot be coded well ---- */

/*
 * Code one residual and check that the factors are usable: whatever the query,
 * a neighbour without a direction is no nearer than p.
 */
static bool
degenerate_is_harmless(int dims, int bits, const float *residual,
					   const float *centre)
{
	uint8	   *levels = malloc(dims);
	float		a;
	float		f;
	bool		good;

	tg_encode(dims, bits, residual, centre, levels, &a, &f);
	good = isfinite(f) && !isnan(a) && (f != 0.0f || a >= 0.0f) &&
		(f == 0.0f || isfinite(a)) && f <= 0.0f;
	for (int i = 0; i < dims; i++)
		good &= levels[i] < 1 << bits;
	if (!good)
		diag("dims %d, bits %d, residual %g, centre %g: a %g, f %g", dims, bits,
			 residual[0], centre[0], a, f);
	free(levels);
	return good;
}

static void
test_degenerate(void)
{
	static const float magnitudes[] = {
		0.0f, 1e-45f, 1e-38f, 1e-30f, 1e-23f, 1e-22f, 1e-19f, 1e-10f, 1.0f,
		1e10f, 1e17f, 1e18f, 1e19f, 1e20f, 1e30f, 3e38f, INFINITY, NAN
	};
	static const int dims[] = {1, 3, 8, 100, 1536};

	for (int bits = 1; bits <= TG_MAX_BITS; bits++)
		for (int d = 0; d < (int) lengthof(dims); d++)
		{
			int			n = dims[d];
			float	   *residual = malloc(sizeof(float) * n);
			float	   *centre = malloc(sizeof(float) * n);
			uint8	   *levels = malloc(n);
			float		a;
			float		f;
			bool		all_good = true;
			bool		one_good = true;

			for (int r = 0; r < (int) lengthof(magnitudes); r++)
				for (int c = 0; c < (int) lengthof(magnitudes); c++)
				{
					for (int i = 0; i < n; i++)
					{
						residual[i] = magnitudes[r] * (i % 3 == 1 ? -1.0f : 0.7f);
						centre[i] = magnitudes[c] * (i % 2 ? 1.0f : 0.9f);
					}
					all_good &= degenerate_is_harmless(n, bits, residual, centre);

					/* One such coordinate among ordinary ones. */
					for (int i = 1; i < n; i++)
					{
						residual[i] = sample_gauss();
						centre[i] = sample_gauss();
					}
					one_good &= degenerate_is_harmless(n, bits, residual, centre);
				}
			ok(all_good, "factors of degenerate residuals, %d dimensions, %d bits",
			   n, bits);
			ok(one_good, "factors with one degenerate coordinate, %d dimensions, %d bits",
			   n, bits);

			memset(residual, 0, sizeof(float) * n);
			sample_vector(centre, n, 1.0f);
			tg_encode(n, bits, residual, centre, levels, &a, &f);
			ok(a == 0.0f && f == 0.0f, "a residual of zero: as far as p, %d dimensions, %d bits",
			   n, bits);
			for (int i = 0; i < n; i++)
				residual[i] = 1e30f;
			tg_encode(n, bits, residual, centre, levels, &a, &f);
			ok(a == INFINITY && f == 0.0f,
			   "a residual too long for floats: infinitely far, %d dimensions, %d bits",
			   n, bits);
			for (int i = 0; i < n; i++)
				residual[i] = 1e-30f;
			tg_encode(n, bits, residual, centre, levels, &a, &f);
			ok(fabsf(a) < 1e-20f && fabsf(f) < 1e-20f,
			   "a residual too short for floats: as far as p, %d dimensions, %d bits",
			   n, bits);
			free(residual);
			free(centre);
			free(levels);
		}
}

/* ---- tables ---- */

static int
table_sum(const TgScoreTable *table, const uint8 *levels, int dims, int plane)
{
	int			sum = 0;

	for (int group = 0; group < table->ngroups; group++)
	{
		int			code = 0;

		for (int i = 0; i < TG_GROUP_DIMS && 4 * group + i < dims; i++)
			code |= (levels[4 * group + i] >> plane & 1) << i;
		sum += table->entries[group * TG_GROUP_CODES + code];
	}
	return sum;
}

/*
 * Does the table give <query, code> for any code, within half a step for each
 * entry?
 */
static bool
table_is_exact(int dims, int bits, const float *query)
{
	TgScoreTable table = table_create(dims, bits, query);
	uint8	   *levels = malloc(dims);
	int			ngroups = TG_GROUPS(dims);
	double		magnitude = 0.0;
	bool		good = table.ngroups == ngroups && table.nplanes == bits;

	for (int i = 0; i < dims; i++)
		magnitude += fabsf(query[i]);
	for (int trial = 0; trial < 20; trial++)
	{
		double		expected;
		double		sum;
		double		bound;

		/* The two extremes, then whatever comes. */
		for (int i = 0; i < dims; i++)
		{
			levels[i] = sample_bits() & ((1 << bits) - 1);
			if (trial < 2)
				levels[i] = (query[i] > 0.0f) == trial ? (1 << bits) - 1 : 0;
		}
		expected = dot_levels(query, levels, dims, bits);
		sum = table_sum(&table, levels, dims, 0);
		if (bits == 2)
			sum += 2.0 * table_sum(&table, levels, dims, 1);
		sum = table.step * sum + table.offset;

		/* The step is that of one bit's 0 and 1 for each of the planes. */
		bound = (bits == 1 ? 0.5 * table.step : 1.5 * table.step) * ngroups +
			1e-5 * magnitude;
		if (fabs(sum - expected) > bound)
		{
			diag("dims %d, bits %d: %g, expected %g within %g", dims, bits, sum,
				 expected, bound);
			good = false;
		}
	}

	/* All of the range is used, and the padding scores nothing. */
	if (magnitude > 0.0)
	{
		uint8		largest = 0;

		for (int i = 0; i < ngroups * TG_GROUP_CODES; i++)
			largest = Max(largest, table.entries[i]);
		good &= largest == 255;
	}
	for (Size i = (Size) ngroups * TG_GROUP_CODES; i < TG_TABLE_SIZE(dims); i++)
		good &= table.entries[i] == 0;
	free(table.entries);
	free(levels);
	return good;
}

static void
test_tables(void)
{
	static const float queries[] = {
		0.0f, 1e-45f, 1e-41f, 1e-38f, 1e-30f, 1e30f, 3e38f, INFINITY, -INFINITY,
		NAN
	};
	float		query[102];
	float		estimates[TG_BLOCK_LANES];
	float		a[TG_BLOCK_LANES];
	float		f[TG_BLOCK_LANES];
	uint8	   *codes = malloc(TG_CODES_SIZE(102, 2));
	TgScoreTable table;
	bool		good;

	for (int bits = 1; bits <= TG_MAX_BITS; bits++)
		for (int i = 0; i < (int) lengthof(sizes); i++)
		{
			float	   *vector = sample_vectors(1, sizes[i]);

			good = table_is_exact(sizes[i], bits, vector);
			for (int j = 0; j < sizes[i]; j++)
				vector[j] = 7.0f;
			good &= table_is_exact(sizes[i], bits, vector);
			for (int j = 0; j < sizes[i]; j++)
				vector[j] = j == sizes[i] / 2 ? -1e30f : 0.0f;
			good &= table_is_exact(sizes[i], bits, vector);
			memset(vector, 0, sizeof(float) * sizes[i]);
			good &= table_is_exact(sizes[i], bits, vector);
			ok(good, "tables of %d dimensions, %d bits", sizes[i], bits);
			free(vector);
		}

	/* Any query at all: no estimate misleads, none is below by accident. */
	for (Size i = 0; i < TG_CODES_SIZE(102, 2); i++)
		codes[i] = (uint8) sample_bits();
	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
	{
		a[lane] = lane % 2 ? INFINITY : 1.0f;
		f[lane] = 0.0f;
	}
	for (int bits = 1; bits <= TG_MAX_BITS; bits++)
		for (int i = 0; i < (int) lengthof(queries); i++)
		{
			uint32		mask;

			for (int j = 0; j < (int) lengthof(query); j++)
				query[j] = queries[i];
			table = table_create(lengthof(query), bits, query);
			mask = tg_kernels->score(&table, codes, a, f, 1.0f, INFINITY,
									 estimates);
			good = (mask & 0xAAAAAAAA) == 0;
			if (fabsf(queries[i]) < 1e36f)
			{
				good &= isfinite(table.step) && isfinite(table.offset) &&
					mask == 0x55555555;
				for (int lane = 0; lane < TG_BLOCK_LANES; lane += 2)
					good &= estimates[lane] == 2.0f;
			}
			ok(good, "factors without a direction under a query of %g, %d bits",
			   queries[i], bits);
			free(table.entries);
		}
	free(codes);
}

int
main(void)
{
	tg_kernels_select("auto");
	test_rotation();
	test_codes();
	test_estimates();
	test_degenerate();
	test_tables();
	return done_testing();
}
