/** How a generator chooses tokens: {@link io.github.dl4jretention.lm.generation.TokenChoice}. Calls nobody. */
package io.github.dl4jretention.lm.generation;
