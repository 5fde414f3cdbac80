"""Django's `url`, worked out once where it cannot change: a page links to thirty others."""

from django import template
from django.template import defaulttags
from django.template.base import Node, Parser, TextNode, Token

register = template.Library()


@register.tag
def url(parser: Parser, token: Token) -> Node:
    """The address of one of our pages that takes no arguments is text; the admin may have several of one."""
    node = defaulttags.url(parser, token)
    name = node.view_name
    if name.is_var or node.args or node.kwargs or node.asvar or ":" in name.var:
        return node
    return TextNode(node.render(template.Context()))
