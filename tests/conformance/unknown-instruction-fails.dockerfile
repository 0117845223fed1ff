FROM kilnbase:1
RUM echo typo
#: fails
