FROM kilnbase:1
ADD --chown=12:34 archive.tar /owned/
