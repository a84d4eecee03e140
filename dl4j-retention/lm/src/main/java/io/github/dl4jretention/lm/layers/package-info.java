/**
 * Layers at native speed: decoder blocks with hand-written forward and backward passes. Rows are tokens, products are
 * calls of single-threaded OpenBLAS from Java threads. May call DL4J, ND4J, OpenBLAS and the packages of the core.
 */
@NullMarked
package io.github.dl4jretention.lm.layers;

import org.jspecify.annotations.NullMarked;
