"""`store web`: the pages of a store as an application of Starlette, served by uvicorn. The extra `web` installs both.

    site = Site(s, Links(f"/{token}"))
    serve(site, Door(token, Listening.at(sock)), sock)

Nothing outside of this folder imports Starlette or uvicorn.
"""
