//! Images: looked for, pulled, and those that we have made.

use std::collections::HashMap;

use testcontainers::bollard::errors::Error as BollardError;
use testcontainers::bollard::models::ImageInspect;
use testcontainers::bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptions};
use testcontainers::runners::AsyncRunner;

use super::daemon::Daemon;
use super::labels::MADE;
use super::spec::generic;
use crate::error::{Context, Error, Result};

impl Daemon {
    /// Whether it has an image.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be asked.
    pub async fn has_image(&self, image: &str) -> Result<bool> {
        Ok(self.find_image(image).await?.is_some())
    }

    /// Makes it have an image: pulled if it is not there.
    ///
    /// # Errors
    ///
    /// Cannot run if it cannot be pulled.
    pub async fn pull(&self, image: &str) -> Result<()> {
        self.image(image).await.map(|_| ())
    }

    /// The images that we have made of others: initialised data directories. They are kept between runs.
    ///
    /// # Errors
    ///
    /// Cannot run if the daemon cannot be asked.
    pub async fn made_images(&self) -> Result<Vec<String>> {
        let filters = HashMap::from([("label".to_owned(), vec![MADE.to_owned()])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let images = self.docker.list_images(Some(options)).await.cannot_run(|| "list docker's images".to_owned())?;
        Ok(images.into_iter().map(|image| image.repo_tags.into_iter().next().unwrap_or(image.id)).collect())
    }

    /// Removes an image that we have made.
    ///
    /// # Errors
    ///
    /// Cannot run if it is used, or is none of ours.
    pub async fn remove_made_image(&self, image: &str) -> Result<()> {
        let doing = || format!("remove the image {image}");
        let labels = self.find_image(image).await?.and_then(|found| found.config?.labels).unwrap_or_default();
        if !labels.contains_key(MADE) {
            return Err(Error::bug(format!("{image} is none of ours")));
        }
        self.docker.remove_image(image, None::<RemoveImageOptions>, None).await.cannot_run(doing)?;
        Ok(())
    }

    /// What is known of an image, pulled if it is not there.
    pub(in crate::service) async fn image(&self, image: &str) -> Result<ImageInspect> {
        if let Some(found) = self.find_image(image).await? {
            return Ok(found);
        }
        if let Err(error) = generic(image).pull_image().await {
            let hint = "pull it by hand where a registry can be reached, or make one with harness/images/build";
            let message = format!("the image {image} is not there and cannot be pulled: {error}");
            return Err(Error::cannot_run(message).hint(hint));
        }
        self.find_image(image).await?.ok_or_else(|| Error::cannot_run(format!("{image} was pulled, but is not there")))
    }

    async fn find_image(&self, image: &str) -> Result<Option<ImageInspect>> {
        match self.docker.inspect_image(image).await {
            Ok(found) => Ok(Some(found)),
            Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error).cannot_run(|| format!("look for the image {image}")),
        }
    }
}
