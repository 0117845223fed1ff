# Dates from before the build stay; later ones are the build's.
FROM mixed:1
RUN touch -d "2001-02-03 04:05:06" /old && touch /now && touch -d "2099-01-01 00:00:00" /future
RUN touch -d "2002-02-02 02:02:02" /srv/app/file && chmod 600 /old
RUN mkdir /dir && touch /dir/file && touch -d "1999-09-09 09:09:09" /dir
