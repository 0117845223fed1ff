# Bits of modes, and directories that give their group away. The mode of a set-group-ID file of another
# group is left alone: chmod(2) drops its bit where root has no CAP_FSETID, as in a container with few
# capabilities.
FROM mixed:1
RUN touch /suid && chmod 4755 /suid && mkdir -m 2775 /sgid && chgrp 77 /sgid && touch /sgid/inherits
RUN mkdir /sgid/sub && mkdir -m 1777 /sticky && touch /none && chmod 000 /none && chmod 700 /srv
RUN umask 077 && mkdir /closed && touch /closed/file && chmod u+s /srv/app/file && chown 3:4 /suid
