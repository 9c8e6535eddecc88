"""Source `youtube`: what plays on a page of YouTube, or of any site that yt-dlp knows.

`extract` asks yt-dlp, `child` is the process in which that happens, `resolver` starts it and ends it in
time, `source` plays what was found through the network source.
"""
