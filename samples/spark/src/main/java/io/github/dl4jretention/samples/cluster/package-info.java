/** Programs that run on a Spark cluster. They call the other samples and the library's part for Spark; nothing calls them. */
@NullMarked
package io.github.dl4jretention.samples.cluster;

import org.jspecify.annotations.NullMarked;
