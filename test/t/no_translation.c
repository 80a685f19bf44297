/*-------------------------------------------------------------------------
 *
 * no_translation.c
 *	  For servers that run with ASan's library preloaded: there gettext waits
 *	  for a lock of its own for ever.  Messages stay as they are.
 *
 *-------------------------------------------------------------------------
 */
extern char *bindtextdomain(const char *domain, const char *directory);
extern char *textdomain(const char *domain);

char *
bindtextdomain(const char *domain, const char *directory)
{
	return (char *) directory;
}

char *
textdomain(const char *domain)
{
	return (char *) domain;
}
