FROM kilnbase:1
HEALTHCHECK --interval=5m --timeout=3s --start-period=1s500ms --retries=7 CMD wget -q -O- http://localhost/ || exit 1
