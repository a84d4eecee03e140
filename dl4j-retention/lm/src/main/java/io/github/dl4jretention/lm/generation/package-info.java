/** How a generator chooses tokens: {@link io.github.dl4jretention.lm.generation.TokenChoice}. Calls the core's threads. */
@NullMarked
package io.github.dl4jretention.lm.generation;

import org.jspecify.annotations.NullMarked;
