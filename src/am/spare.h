/*-------------------------------------------------------------------------
 *
 * spare.h
 *	  Sparing queries the distances that nothing reads; see spare.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_SPARE_H
#define TOGG_SPARE_H

/* Look at every plan from now on; called once, by _PG_init(). */
extern void tg_spare_init(void);

#endif							/* TOGG_SPARE_H */
