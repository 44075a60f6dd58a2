package picture

// css colours the classes. Colours are written twice instead of once as
// variables, because viewers outside of browsers don't know those.
const css = `
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif }
.page { fill: #ffffff }
.area { fill: #f4f6fa; stroke: #d3dae6 }
.inner { fill: #eaf5f3; stroke: #a5d6cd }
.card { fill: #ffffff; stroke: #c5cedc }
.outside { fill: #ffffff; stroke: #98a4b5; stroke-dasharray: 4 3 }
.disk { fill: #f4f6fa; stroke: #c5cedc }
.data { fill: #eaf5f3; stroke: #4fae9f }
.address { fill: #f4f0fe; stroke: #a78bfa }
.strong { fill: #17202c }
.soft { fill: #546273 }
.bad { fill: #b42318 }
.sync { fill: none; stroke: #0f8577; stroke-width: 2 }
.sync-head { fill: #0f8577 }
.moves { fill: none; stroke: #7c4ddb; stroke-width: 2 }
.moves-head { fill: #7c4ddb }
.icon { fill: none; stroke: #546273; stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round }
.data-icon { fill: none; stroke: #0f8577; stroke-width: 1.5; stroke-linejoin: round }
.chip { fill: #eef1f6 }
.chip-text { fill: #46536a }
.smb { fill: #e3edfd }
.smb-text { fill: #1d4fa8 }
.nfs { fill: #fdeedb }
.nfs-text { fill: #8a4b08 }
.syncthing { fill: #d5efea }
.syncthing-text { fill: #0b6358 }
.grid { fill: none; stroke: #e3e7ee }
.has { fill: #eef1f6 }
.part { stroke: #ffffff }
.most { fill: none; stroke: #98a4b5; stroke-width: 2 }
.end { fill: none; stroke: #17202c; stroke-width: 2.5 }
.p0 { fill: #64748b }
.p1 { fill: #a9b4c4 }
.p2 { fill: #14a08f }
.p3 { fill: #8b6cf0 }
.p4 { fill: #3b82f6 }
.p5 { fill: #e0912f }
.p6 { fill: #d9569b }
.p7 { fill: #7cae3a }
@media (prefers-color-scheme: dark) {
.page { fill: #0e131a }
.area { fill: #151c26; stroke: #2b3647 }
.inner { fill: #10252a; stroke: #245a55 }
.card { fill: #1c2532; stroke: #394759 }
.outside { fill: #151c26; stroke: #647388 }
.disk { fill: #151c26; stroke: #394759 }
.data { fill: #10302f; stroke: #2b8578 }
.address { fill: #231d3d; stroke: #7c5fd3 }
.strong { fill: #e7edf5 }
.soft { fill: #9eacbe }
.bad { fill: #ff8d82 }
.sync { stroke: #37c2ad }
.sync-head { fill: #37c2ad }
.moves { stroke: #a78bfa }
.moves-head { fill: #a78bfa }
.icon { stroke: #9eacbe }
.data-icon { stroke: #37c2ad }
.chip { fill: #283445 }
.chip-text { fill: #c2cddb }
.smb { fill: #1a3157 }
.smb-text { fill: #a9c8ff }
.nfs { fill: #43300f }
.nfs-text { fill: #f7cd8c }
.syncthing { fill: #123f3a }
.syncthing-text { fill: #8ee6d8 }
.grid { stroke: #222c3a }
.has { fill: #1c2532 }
.part { stroke: #0e131a }
.most { stroke: #647388 }
.end { stroke: #e7edf5 }
.p0 { fill: #8291a7 }
.p1 { fill: #4b596c }
}
`

var (
	heading = font{class: "strong", size: 24, bold: true}
	title   = font{class: "strong", size: 15, bold: true}
	label   = font{class: "strong", size: 13, bold: true}
	soft    = font{class: "soft", size: 13}
	small   = font{class: "soft", size: 12}
)

// Icons of 20 by 20 pixels.
const (
	routerIcon = "M2 12h16v6h-16zM6 12v-8M14 12v-8M5 15h.5M8 15h.5"
	diskIcon   = "M3 5a7 2.5 0 0 1 14 0v10a7 2.5 0 0 1 -14 0zM3 5a7 2.5 0 0 0 14 0M3 10a7 2.5 0 0 0 14 0"
	deviceIcon = "M6 2h8a1.5 1.5 0 0 1 1.5 1.5v13a1.5 1.5 0 0 1 -1.5 1.5h-8a1.5 1.5 0 0 1 -1.5 -1.5v-13a1.5 1.5 0 0 1 1.5 -1.5zM9 15.5h2"
	moveIcon   = "M10 2v16M10 2l-3.5 3.5M10 2l3.5 3.5M4 18h12"
)
