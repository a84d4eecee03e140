/**
 * Pictures of curves and points as PNG files and SVG elements, for reports, programs and notebooks. {@link
 * io.github.dl4jretention.sweep.plot.Plot} is all that users meet: {@code Plot.builder(title).axes(x, y)}, then {@code
 * curve}, {@code dots} (at most five, each named beside itself), {@code point}, {@code label}, {@code contextLine},
 * {@code contextDots}, {@code ring}, {@code hover}, and {@code png()}, {@code svg()} or {@code image()}; {@code
 * Plot.png(panels, columns)} puts several into one file. Calls XChart and Batik and nothing of this library.
 */
@NullMarked
package io.github.dl4jretention.sweep.plot;

import org.jspecify.annotations.NullMarked;
