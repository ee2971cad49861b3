"""Pages in a real browser, see the fixture ``browser``."""

import json


def show(browser, path, width, dark=False):
    """Open a page in a window of a width, a phone's below 600 pixels."""
    scheme = 'dark' if dark else 'light'
    browser.execute_cdp_cmd(
        'Emulation.setEmulatedMedia',
        dict(features=[dict(name='prefers-color-scheme', value=scheme)]),
    )
    browser.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 600),
    )
    for kind in ('browser', 'performance'):
        browser.get_log(kind)  # of the page before
    browser.get(path.as_uri())


def visible(browser, selector):
    """The elements of a page that can be seen."""
    return [
        each
        for each in browser.find_elements('css selector', selector)
        if each.is_displayed()
    ]


def requested(browser):
    """All addresses that a page has asked for, its own too."""
    events = [
        json.loads(each['message'])['message']
        for each in browser.get_log('performance')
    ]
    return {
        each['params']['request']['url']
        for each in events
        if each['method'] == 'Network.requestWillBeSent'
    }


def complaints(browser):
    """What the browser has written to its console."""
    return [
        each['message']
        for each in browser.get_log('browser')
        if each['level'] in ('SEVERE', 'WARNING')
    ]
