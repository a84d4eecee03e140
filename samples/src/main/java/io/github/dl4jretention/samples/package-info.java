/**
 * The programs that you can run. They use the library as your program would, and may call every package of the
 * samples.
 */
@NullMarked
package io.github.dl4jretention.samples;

import org.jspecify.annotations.NullMarked;
