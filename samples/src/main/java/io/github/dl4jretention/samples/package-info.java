/** The sample programs. They use the plugin as a user would and may call every package of the samples. */
package io.github.dl4jretention.samples;
