/*-------------------------------------------------------------------------
 *
 * radius.h
 *	  Scans that end at a distance.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_RADIUS_H
#define TOGG_RADIUS_H

#include "type/type.h"

/*
 * Strategy of the operator "is the vector within the sphere", in operator
 * classes of vectors.
 */
#define TG_STRATEGY_WITHIN		2

/* What is on its right: a value of a composite type (center, radius). */
typedef struct TgSphere
{
	Datum		center;
	double		radius;
} TgSphere;

/* Read one; false if a part of it is NULL. */
extern bool tg_sphere_get(Datum value, TgSphere *sphere);

/* Have the planner tell index scans of conditions on the distance. */
extern void tg_radius_init(void);

#endif							/* TOGG_RADIUS_H */
