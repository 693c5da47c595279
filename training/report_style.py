"""The style sheet of the report: light or dark as the reader's system is, and readable when printed."""

STYLE = """
:root { color-scheme: light dark; --page: #fcfcfb; --card: #ffffff; --ink: #1a1a19; --muted: #5f5e5a; --grid: #e2e1dc;
  --learner: #2a6fc9; --baseline: #d9730d; --good: #1a7f4b; --bad: #c0362c; --own: #e6effa; --other: #f1f0ec; }
@media (prefers-color-scheme: dark) { :root { --page: #161615; --card: #1f1f1d; --ink: #ecebe6; --muted: #a5a49d;
  --grid: #3a3936; --learner: #6ba6f2; --baseline: #f0984a; --good: #4cc38a; --bad: #f2786d; --own: #22344a;
  --other: #2b2b28; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 3rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { max-width: 46rem; margin: .4rem 0 .9rem; }
.muted, th { color: var(--muted); }
nav a { margin-right: 1rem; white-space: nowrap; }
a { color: var(--learner); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.card, .dialogue, figure { background: var(--card); border: 1px solid var(--grid); border-radius: .6rem; }
.card { padding: .9rem 1rem; }
.card strong { display: block; font-size: 1.7rem; line-height: 1.25; font-weight: 650; }
.card span { display: block; }
figure { margin: 1rem 0; padding: .9rem; }
figcaption { color: var(--muted); margin-top: .4rem; font-size: .88rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: system-ui, sans-serif !important; }
.wide { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--grid); }
th { font-weight: 500; vertical-align: bottom; }
th:first-child, td:first-child, .text td, .text th { text-align: left; }
th:first-child, td:first-child { padding-left: 0; white-space: nowrap; }
.text td:first-child { white-space: normal; }
td small { display: block; color: var(--muted); font-weight: 400; white-space: nowrap; }
.swatch { display: inline-block; width: .65rem; height: .65rem; border-radius: 50%; margin-right: .4rem; }
.met { color: var(--good); font-weight: 600; }
.missed { color: var(--bad); font-weight: 600; }
.dialogue { padding: 1rem 1.1rem; margin: 1rem 0; }
.dialogue h3 { margin-top: 0; }
.seats { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .8rem; }
.seat { border-left: 3px solid var(--grid); padding-left: .8rem; font-size: .9rem; }
.seat.learner { border-color: var(--learner); }
.seat p { margin: .15rem 0; }
ol.turns { list-style: none; margin: 1rem 0; padding: 0; }
ol.turns li { max-width: 80%; width: fit-content; margin: .35rem 0; padding: .4rem .8rem; border-radius: .7rem;
  background: var(--other); }
ol.turns li.learner { margin-left: auto; background: var(--own); }
ol.turns small { display: block; color: var(--muted); }
.said { white-space: pre-wrap; overflow-wrap: anywhere; }
.tag { border: 1px solid var(--muted); border-radius: .3rem; padding: 0 .3rem; font-size: .8rem; color: var(--muted); }
.tag.invalid { color: var(--bad); border-color: var(--bad); }
pre { background: var(--card); border: 1px solid var(--grid); border-radius: .4rem; padding: .7rem .9rem;
  overflow-x: auto; }
details summary { cursor: pointer; color: var(--muted); }
"""
"""Held in the page itself: the report is one file."""
