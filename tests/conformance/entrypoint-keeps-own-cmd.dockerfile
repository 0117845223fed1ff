FROM kilnwithcmd:1
CMD ["own"]
ENTRYPOINT exec top -b
