"""One message a night, with the worst new alarms, to the places that the settings name.

`alert_settings` (table `[alert]`), `cases` (new alarms of the alarm table), `message` (what is
said), `texts` (as plain text and as Slack has it), `web`, `mail`, `program` (ways to send it),
`sending` (each message once).

In: an alarm table and a summary. Out: one message, as JSON values, sent once to each place. What
is secret comes from environment variables, and stands in no message, error or log. May import
what jobs may, but no job, and no settings but its own.
"""
