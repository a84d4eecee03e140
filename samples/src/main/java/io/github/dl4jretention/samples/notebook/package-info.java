/** What the notebooks call beside the plugin: pictures. Calls nobody. */
package io.github.dl4jretention.samples.notebook;
